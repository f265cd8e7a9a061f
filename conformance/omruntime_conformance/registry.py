"""Rules: registered functions whose docstring is the specification."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from omruntime.abc import Capability
from omruntime_conformance.harness import Fault

if TYPE_CHECKING:
    from omruntime_conformance.context import Context

__all__ = ["RULES", "Body", "Registry", "Rule", "load_rules", "rule"]

Body: TypeAlias = "Callable[[Context], None]"

_ID = re.compile(r"[A-Z]{3}-\d{3}")
LIMIT = 100.0
_TWO_WORKERS: Mapping[str, int] = MappingProxyType({"default": 2})


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence of the contract and the function that proves it."""

    id: str
    name: str
    """Name of the function."""
    sentence: str
    """First line of its docstring."""
    text: str
    """The rest of the docstring: why the rule is there, and what to look at when it fails."""
    body: Body
    rests_on: tuple[str, ...] = ()
    """Rules without which this one says nothing; where one of them failed, this one is blocked."""
    capability: Capability | None = None
    """The rule holds for engines that declare it; for the others `refusal` does."""
    refusal: Body | None = None
    """Proves that an engine which does not declare the capability refuses the call."""
    without: Capability | None = None
    """The rule holds only where this capability is not declared; another rule takes its place where it is."""
    workers: Mapping[str, int] = field(default_factory=lambda: _TWO_WORKERS)
    """Slots for each label set that its cluster must have."""
    own_cluster: bool = False
    """The rule breaks the cluster it runs on, so it gets one that nobody else uses."""
    faults: tuple[Fault, ...] = ()
    """Faults that only the author's harness can inject."""
    exact: bool = False
    """The rule says nothing of a cluster that has other workers besides those it asks for."""
    limit: float = LIMIT
    """Seconds that it may take, before the harness's patience."""
    independent: bool = False
    """It needs no more than one slot at a time, injects no fault, and asserts nothing of the engine as a whole: so it
    can run while other such rules run on the same cluster."""

    @property
    def area(self) -> str:
        """Return the three letters before the number."""
        return self.id.partition("-")[0]

    def __str__(self) -> str:
        return f"{self.id}-{self.name}"


class Registry:
    """The rules by id; an id is unique and stays what it is for ever."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self.rules: Mapping[str, Rule] = MappingProxyType(self._rules)

    def rule(
        self,
        id: str,
        *,
        rests_on: tuple[str, ...] = (),
        capability: Capability | None = None,
        refusal: Body | None = None,
        without: Capability | None = None,
        workers: Mapping[str, int] = _TWO_WORKERS,
        own_cluster: bool = False,
        faults: tuple[Fault, ...] = (),
        exact: bool = False,
        limit: float = LIMIT,
        independent: bool = False,
    ) -> Callable[[Body], Body]:
        """Register a function as the rule ``id``; the first line of its docstring is the sentence of the contract.

        Raises:
            ValueError: the id is taken or is none, there is no sentence, a capability is without a refusal, or what
                breaks a cluster is called independent.
        """
        if not _ID.fullmatch(id):
            raise ValueError(f"{id!r} is no rule id: three capitals, a dash, three digits, like 'CAN-004'")
        if (capability is None) != (refusal is None):
            raise ValueError(f"{id}: a rule of a capability needs a refusal, and only such a rule can have one")

        if independent and (own_cluster or faults or exact):
            raise ValueError(f"{id}: a rule that needs a cluster for itself is not independent of others")

        def register(body: Body) -> Body:
            if id in self._rules:
                raise ValueError(f"{id} is already the rule {self._rules[id].name}; ids are used once")
            name = body.__name__
            sentence, text = _docstring(id, body)
            self._rules[id] = Rule(
                id=id,
                name=name,
                sentence=sentence,
                text=text,
                body=body,
                rests_on=rests_on,
                capability=capability,
                refusal=refusal,
                without=without,
                workers=workers,
                own_cluster=own_cluster,
                faults=faults,
                exact=exact,
                limit=limit,
                independent=independent,
            )
            return body

        return register

    def check(self) -> None:
        """Check what can be checked only when all rules are there.

        Raises:
            ValueError: a rule rests on one that does not exist, or nobody tests a capability.
        """
        untested = set(Capability) - {each.capability for each in self._rules.values()}
        if untested:
            names = ", ".join(sorted(each.name for each in untested))
            raise ValueError(f"no rule tests {names}: write one with capability= and a refusal")
        for each in self._rules.values():
            missing = [id for id in each.rests_on if id not in self._rules]
            if missing:
                raise ValueError(f"{each.id} rests on {', '.join(missing)}, which no module of the suite defines")

    def in_order(self) -> list[Rule]:
        """Return the rules in the order to run them: foundations first, those with a cluster of their own last."""
        ordered: dict[str, Rule] = {}

        def add(each: Rule) -> None:
            for id in each.rests_on:
                add(self._rules[id])
            ordered.setdefault(each.id, each)

        for each in sorted(self._rules.values(), key=lambda each: each.own_cluster):
            add(each)
        return list(ordered.values())


def _docstring(id: str, body: Body) -> tuple[str, str]:
    sentence, _, text = (inspect.getdoc(body) or "").partition("\n")
    if not sentence.endswith("."):
        raise ValueError(f"{id}: the first line of the docstring of {body.__name__} must be the rule's sentence")
    return sentence, text.strip()


REGISTRY = Registry()
RULES = REGISTRY.rules
"""All rules that have been loaded, by id; `load_rules` loads those of the suite."""
rule = REGISTRY.rule


def load_rules() -> Mapping[str, Rule]:
    """Import the modules of rules and return all rules by id."""
    package = importlib.import_module("omruntime_conformance.rules")
    for name in package.MODULES:
        importlib.import_module(f"{package.__name__}.{name}")
    found = {info.name for info in pkgutil.iter_modules(package.__path__)}
    if found != set(package.MODULES):
        raise ValueError(f"rules/__init__.py does not list its modules: {sorted(found ^ set(package.MODULES))}")
    REGISTRY.check()
    return RULES
