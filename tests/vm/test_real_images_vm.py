"""One of the images that `make test-images` tries, in a real guest: the tree is what umoci makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.images.listing import build_lister
from tests.images.makers import MAKERS
from tests.images.proving import open_world, prove
from tests.images.tools import missing

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.geteuid() != 0 or bool(missing("umoci", "skopeo", "docker-registry", "apt-get")),
        reason="needs root, umoci, skopeo and docker-registry",
    ),
]


def test_the_tree_in_the_guest_is_that_of_umoci(prepared_cache: Path, tmp_path: Path) -> None:
    maker = next(maker for maker in MAKERS if maker.name == "umoci-layers")
    lister = build_lister(tmp_path, maker.machine)
    with open_world(tmp_path / "trees", prepared_cache / "banger" / "kernels") as (world, registry):
        outcome = prove(maker, world, registry, directory=tmp_path / maker.name, lister=lister)
    assert outcome.of_image == []
    assert outcome.of_root == []
    assert outcome.entries > 200
