"""Python imports a module of this name when it starts; this one makes the process the mutant it is told to be."""

import os

from omruntime_conformance.mutants.registry import VARIABLE, infect

infect(os.environ[VARIABLE])
