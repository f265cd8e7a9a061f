"""Databases on a real server, for what a MongoDB store does that others do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.stores import STORES, MakeUrl, Server


@pytest.fixture
def make_url(tmp_path: Path, mongodb: Server) -> Iterator[MakeUrl]:
    with STORES["mongodb"](tmp_path, mongodb) as make:
        yield make


@pytest.fixture
def database(store_url: str) -> Iterator[Database[dict[str, Any]]]:
    """Give the database as others see it."""
    with MongoClient[dict[str, Any]](store_url) as client:
        yield client.get_default_database()
