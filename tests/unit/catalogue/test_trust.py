"""Which catalogues are believed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer._key import SSlibKey
from tests.unit.catalogue.catalogues import NEW, NEWER, NOW, OLD, STRANGER, catalogue

from banger.catalogue.__main__ import main
from banger.catalogue.keys import PublicKey
from banger.catalogue.signing import public_key, sign_catalogue, sign_rotation
from banger.catalogue.trust import Memory, Verdict, judge
from banger.core.errors import BangerError, Denied, Invalid

NOTHING = Memory()


def believe(text: bytes, *keys: Ed25519PrivateKey, memory: Memory = NOTHING, days: float = 0) -> Verdict:
    return judge(
        text, place="the file", keys=[public_key(key) for key in keys], memory=memory, now=NOW + timedelta(days=days)
    )


def rotate(number: int, new: Ed25519PrivateKey, *old: Ed25519PrivateKey, name: str = "team") -> bytes:
    return sign_rotation(name, number, [str(public_key(new))], old)


def test_one_of_several_trusted_keys_is_enough() -> None:
    verdict = believe(sign_catalogue(catalogue(), [NEW]), OLD, NEW)
    assert verdict.catalogue.name == "team"
    assert verdict.signer == public_key(NEW)
    assert (verdict.memory.name, verdict.memory.version) == ("team", 3)


def test_one_of_several_signatures_is_enough() -> None:
    text = sign_catalogue(catalogue(), [OLD, NEW])
    assert believe(text, OLD).signer == public_key(OLD)
    assert believe(text, NEW).signer == public_key(NEW)


def test_another_tool_reads_the_envelope_and_agrees() -> None:
    text = sign_catalogue(catalogue(), [OLD])
    key = SSlibKey("any", "ed25519", "ed25519", {"public": public_key(OLD).raw.hex()})
    envelope = Envelope.from_dict(json.loads(text))
    for signature in envelope.signatures.values():
        key.keyid = signature.keyid
    assert list(envelope.verify([key], 1).values()) == [key]
    assert envelope.payload == catalogue()


def test_the_signature_of_a_stranger() -> None:
    with pytest.raises(Denied, match=rf"signed by none of the keys .*\({public_key(OLD).id}\)"):
        believe(sign_catalogue(catalogue(), [STRANGER]), OLD)


def test_no_signature() -> None:
    with pytest.raises(Denied, match="not signed"):
        believe(sign_catalogue(catalogue(), []), OLD)


def test_every_flipped_bit_of_payload_and_signature() -> None:
    document = json.loads(sign_catalogue(catalogue(), [OLD]))
    for part, text in (("payload", document["payload"]), ("sig", document["signatures"][0]["sig"])):
        for place in range(0, len(text), 1 if part == "sig" else 7):
            flipped = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
            damaged = json.loads(json.dumps(document))
            if part == "sig":
                damaged["signatures"][0]["sig"] = flipped
            else:
                damaged["payload"] = flipped
            with pytest.raises((Denied, Invalid)):
                believe(json.dumps(damaged).encode(), OLD)


def test_a_statement_of_another_kind_cannot_stand_for_a_catalogue() -> None:
    rotation = json.loads(rotate(1, NEW, OLD))
    with pytest.raises(Invalid, match="not a document of the kind"):
        believe(json.dumps(rotation).encode(), OLD)
    rotation["payloadType"] = "application/vnd.banger.catalogue+json"
    with pytest.raises(Denied, match="signed by none"):
        believe(json.dumps(rotation).encode(), OLD)


def test_it_expires() -> None:
    text = sign_catalogue(catalogue(expires="2026-06-11T00:00:00Z"), [OLD])
    assert believe(text, OLD, days=9.9).catalogue.version == 3
    with pytest.raises(Denied, match="expired on 2026-06-11"):
        believe(text, OLD, days=10)


def test_it_comes_from_the_future() -> None:
    with pytest.raises(Denied, match="in the future"):
        believe(sign_catalogue(catalogue(issued="2026-06-03T00:00:00Z"), [OLD]), OLD)
    with pytest.raises(Invalid, match="expires before"):
        believe(sign_catalogue(catalogue(expires="2025-06-03T00:00:00Z"), [OLD]), OLD)


def test_there_is_no_way_back_to_an_older_version() -> None:
    memory = believe(sign_catalogue(catalogue(version=8), [OLD]), OLD).memory
    with pytest.raises(Denied, match="is version 7, and version 8 was seen before"):
        believe(sign_catalogue(catalogue(version=7), [OLD]), OLD, memory=memory)
    believe(sign_catalogue(catalogue(version=8), [OLD]), OLD, memory=memory)
    with pytest.raises(Denied, match="another version 8"):
        believe(sign_catalogue(catalogue(version=8, entries=[]), [OLD]), OLD, memory=memory)
    assert believe(sign_catalogue(catalogue(version=9), [OLD]), OLD, memory=memory).memory.version == 9


def test_there_is_no_way_back_after_other_keys_were_configured() -> None:
    memory = believe(sign_catalogue(catalogue(version=8), [OLD]), OLD).memory
    with pytest.raises(Denied, match="version 8 was seen"):
        believe(sign_catalogue(catalogue(version=7), [NEW]), NEW, memory=memory)


def test_it_keeps_its_name() -> None:
    memory = believe(sign_catalogue(catalogue(), [OLD]), OLD).memory
    with pytest.raises(Denied, match="the catalogue other, and not team"):
        believe(sign_catalogue(catalogue(name="other", version=4), [OLD]), OLD, memory=memory)


def test_keys_change_and_the_old_one_counts_no_more() -> None:
    memory = believe(sign_catalogue(catalogue(version=1), [OLD]), OLD).memory
    statement = rotate(1, NEW, OLD)
    verdict = believe(sign_catalogue(catalogue(version=2), [NEW], rotations=[statement]), OLD, memory=memory)
    assert verdict.signer == public_key(NEW)
    assert verdict.memory.rotation == 1
    for rotations in ([], [statement]):
        with pytest.raises(Denied, match=f"signed by none of .*{public_key(NEW).id}"):
            believe(sign_catalogue(catalogue(version=3), [OLD], rotations=rotations), OLD, memory=verdict.memory)
    believe(sign_catalogue(catalogue(version=3), [NEW]), OLD, memory=verdict.memory)


def test_a_chain_of_changes_leads_somebody_who_saw_none_of_them() -> None:
    chain = [rotate(1, NEW, OLD), rotate(2, NEWER, NEW)]
    text = sign_catalogue(catalogue(), [NEWER], rotations=chain)
    assert believe(text, OLD).memory.rotation == 2
    assert believe(text, NEW).memory.rotation == 2
    assert believe(text, NEWER).memory.rotation == 0
    with pytest.raises(Denied):
        believe(sign_catalogue(catalogue(), [NEWER], rotations=chain[1:]), OLD)


def test_a_change_that_nobody_trusted_has_signed_changes_nothing() -> None:
    statement = rotate(1, STRANGER, STRANGER)
    assert believe(sign_catalogue(catalogue(), [OLD], rotations=[statement]), OLD).memory.rotation == 0
    with pytest.raises(Denied):
        believe(sign_catalogue(catalogue(), [STRANGER], rotations=[statement]), OLD)


def test_an_old_change_is_not_made_again() -> None:
    back = rotate(1, OLD, NEW)
    memory = believe(sign_catalogue(catalogue(), [NEW], rotations=[rotate(1, NEW, OLD)]), OLD).memory
    with pytest.raises(Denied):
        believe(sign_catalogue(catalogue(version=4), [OLD], rotations=[back]), OLD, memory=memory)


def test_a_change_of_keys_of_another_catalogue() -> None:
    text = sign_catalogue(catalogue(), [NEW], rotations=[rotate(1, NEW, OLD, name="other")])
    with pytest.raises(Denied, match="not other"):
        believe(text, OLD)


def test_configured_keys_begin_anew_after_a_change() -> None:
    memory = believe(sign_catalogue(catalogue(), [NEW], rotations=[rotate(1, NEW, OLD)]), OLD).memory
    text = sign_catalogue(catalogue(version=4), [STRANGER])
    assert believe(text, STRANGER, memory=memory).memory.rotation == 0


def test_the_tool(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def run(*words: str) -> bytes:
        assert main(words) == 0, capfdbinary.readouterr().err
        return capfdbinary.readouterr().out

    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    public = [run("new-key", str(path)).decode().strip() for path in (old, new)]
    assert old.stat().st_mode & 0o777 == 0o600
    (tmp_path / "plain.json").write_bytes(catalogue(expires="9999-01-01T00:00:00Z"))
    rotation = run("rotate", "--catalogue", "team", "--number", "1", "--new-key", public[1], "--key", str(old))
    (tmp_path / "rotation.json").write_bytes(rotation)
    words = ("sign", str(tmp_path / "plain.json"), "--key", str(new), "--rotation", str(tmp_path / "rotation.json"))
    (tmp_path / "signed.json").write_bytes(run(*words))
    assert run("check", str(tmp_path / "signed.json"), "--key", public[0]).startswith(b"team, version 3, 1 entries")
    assert main(("new-key", str(old))) == 1
    assert main(("check", str(tmp_path / "plain.json"), "--key", public[0])) == 1
    assert main(("sign", str(tmp_path / "none.json"), "--key", str(old))) == 1
    assert main(("sign", str(tmp_path / "plain.json"), "--key", str(tmp_path / "plain.json"))) == 1


def test_what_keys_are_not() -> None:
    from banger.catalogue.keys import parse_keys

    good = str(public_key(OLD))
    assert parse_keys([good]) == (PublicKey(public_key(OLD).raw),)
    for text in (
        "",
        "ed25519:",
        good[:-1],
        good + "=",
        good.replace("ed25519", "rsa"),
        good[:-5] + "\n" + good[-5:],
        "é",
    ):
        with pytest.raises(BangerError):
            parse_keys([text])


def test_the_documented_example_is_good() -> None:
    page = (Path(__file__).parents[3] / "docs" / "images.md").read_text()
    example = page.partition("```json\n")[2].partition("```")[0].encode()
    assert [entry.name for entry in believe(sign_catalogue(example, [OLD]), OLD).catalogue.entries] == ["app", "small"]
