"""A bundle verifies from its own files, and nothing in it can be changed unseen."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from qlq import config
from qlq.archive import bundle, folder, signed
from qlq.archive.signed import Verdict
from qlq.config import Settings
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.errors import ConfigError
from qlq.node import certifying
from qlq.qrng import certificate
from qlq.qrng.certificate_commitment import Commitment

SHOTS = 20_000
FORGER = SigningKey(Algorithm.ML_DSA_65, bytes(32))
PUBLIC = {"calibration.draw", "calibration.shots", "data.draw", "seed.bin", "certificate.json"}
SECRET = {"secrets/data.shots", "secrets/output.bin"}

Forge = Callable[[Callable[[dict[str, Any]], None]], Verdict]


def settings_of(home: Path) -> Settings:
    return config.load(flags={"home": str(home), "backend": None}, environ={}, profile=None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the device simulation `aer:fez`."""
    place = tmp_path_factory.mktemp("certified")
    order = certifying.CertifyOrder(("aer:fez",), SHOTS, place / "bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(place / "settings"))
        certifying.certify(order, settings_of(place / "home"), lambda _text: None)
    return place / "bundle"


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def forge(copied: Path) -> Forge:
    """Change the certificate, sign it again with a key of one's own, and check it."""

    def change(edit: Callable[[dict[str, Any]], None]) -> Verdict:
        file = copied / "certificate.json"
        signed = json.loads(file.read_bytes())
        document = signed["certificate"]
        edit(document)
        signed |= {
            "id": certificate.certificate_id(document),
            "signer": FORGER.verifying_key.to_bytes().hex(),
            "signature": certificate.sign(document, FORGER).hex(),
        }
        file.write_bytes(folder.canonical_json(signed))
        return bundle.check(copied, signer=None)

    return change


def places(verdict: Verdict) -> set[str]:
    return {f"{finding.file} {finding.field}".strip() for finding in verdict.findings}


def test_a_bundle_is_valid_and_complete(made: Path) -> None:
    verdict = bundle.check(made, signer=None)
    assert (verdict.level, verdict.findings) == ("full", ())
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert names == PUBLIC | SECRET
    assert verdict.result["tier"] == "T0"
    assert verdict.result["claim_bits"] == 0
    assert verdict.result["s"] > 2.5


def test_outcomes_and_output_are_for_their_owner_alone(made: Path) -> None:
    for name in SECRET:
        assert stat.S_IMODE((made / name).stat().st_mode) == 0o600
    text = (made / "certificate.json").read_text()
    assert (made / "secrets" / "output.bin").read_bytes()[:16].hex() not in text


def test_without_secrets_the_public_numbers_still_verify(copied: Path) -> None:
    shutil.rmtree(copied / "secrets")
    verdict = bundle.check(copied, signer=None)
    assert (verdict.level, verdict.findings) == ("public", ())


@pytest.mark.parametrize("name", sorted((PUBLIC | SECRET) - {"certificate.json"}))
def test_a_changed_byte_is_named_by_its_file(copied: Path, name: str) -> None:
    file = copied / name
    data = file.read_bytes()
    for place in (0, 1, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert f"{name} sha256" in places(bundle.check(copied, signer=None))
    for cut in (data[:-1], data + b"\0", b""):
        file.write_bytes(cut)
        assert f"{name} sha256" in places(bundle.check(copied, signer=None))
    file.unlink()
    assert name in places(bundle.check(copied, signer=None))


def test_every_changed_byte_of_the_certificate_is_refused(copied: Path) -> None:
    """Every 701st byte, and all of the first and last twelve."""
    file = copied / "certificate.json"
    data = file.read_bytes()
    size = len(data)
    for place in sorted({*range(0, size, 701), *range(12), *range(size - 12, size)}):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        verdict = bundle.check(copied, signer=None)
        assert not verdict.is_valid, place
        assert all(finding.file for finding in verdict.findings)


def test_a_file_that_does_not_belong_is_named(copied: Path) -> None:
    (copied / "more.bin").write_bytes(b"x")
    assert places(bundle.check(copied, signer=None)) == {"more.bin"}


RESULT: dict[str, Any] = {
    "rounds": 1, "s": 2.8, "sigma": 0.001, "exceeds_tsirelson": True, "beta": 0.5,
    "log2_sum": 1e6, "certified_bits": 10**6, "threshold_bits": 0, "threshold_reached": False,
    "disclosed_bits": 0, "epsilon_certificate": 0.0, "epsilon_extractor": 0.0, "epsilon": 0.0,
    "no_signalling_p": 0.42424, "max_marginal_shift": 0.0, "max_marginal_shift_sigma": 1.0,
    "calibration_s": 2.0, "calibration_rounds": 1, "shots_root": "00", "extractor": {},
    "output": {"bytes": 1, "sha256": "00"}, "tier": "T3", "tier_label": "T3 self-tested",
    "claim_bits": 256, "claim_reasons": ["trust me"], "assumptions": [], "inputs": "device",
    "drbg": {}, "health": {}, "counts": [[1, 1, 1, 1]] * 4,
    "textbook": {"guessing_bits_per_round": 1.0},
}  # fmt: skip


def test_the_forged_fields_are_all_there_are(made: Path) -> None:
    signed = json.loads((made / "certificate.json").read_bytes())
    assert set(RESULT) == set(signed["certificate"]["result"])


@pytest.mark.parametrize("name", sorted(RESULT))
def test_a_forged_number_is_found_though_it_is_signed(forge: Forge, name: str) -> None:
    verdict = forge(lambda document: document["result"].update({name: RESULT[name]}))
    found = places(verdict)
    assert any(place.startswith(f"certificate.json result.{name}") for place in found), found


PUBLIC_FIELDS = set(RESULT) - {
    "no_signalling_p", "max_marginal_shift", "max_marginal_shift_sigma", "shots_root", "extractor",
    "health", "inputs", "drbg", "counts",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PUBLIC_FIELDS))
def test_a_forged_number_is_found_without_secrets_too(
    forge: Forge, copied: Path, name: str
) -> None:
    shutil.rmtree(copied / "secrets")
    verdict = forge(lambda document: document["result"].update({name: RESULT[name]}))
    assert verdict.level == "public"
    found = places(verdict)
    assert any(place.startswith(f"certificate.json result.{name}") for place in found), found


COMMITMENT: dict[str, Any] = {
    "beta": "0x1p-2", "factors": ["0x1p+1"] * 16, "epsilon_log2": -1,
    "extractor_epsilon_log2": -1, "threshold_bits": 10, "disclosed_bits": 0, "output_bits": 8000,
    "seed": "00" * 32, "calibration": "00" * 32, "digest": "00" * 32, "blocks": 2, "rounds": 15_000,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(COMMITMENT))
def test_a_commitment_that_was_made_up_later_is_found(forge: Forge, name: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        assert name in document["inputs"]["commitment"]
        document["inputs"]["commitment"][name] = COMMITMENT[name]

    assert not forge(edit).is_valid


@pytest.mark.parametrize("name", ["threshold_bits", "output_bits", "disclosed_bits", "calibration"])
def test_a_commitment_that_fits_itself_and_not_the_calibration_is_found(
    forge: Forge, name: str
) -> None:
    """Digest and tag of the data job are made to fit as well."""

    def edit(document: dict[str, Any]) -> None:
        recorded = document["inputs"]["commitment"]
        recorded[name] = COMMITMENT[name]
        values = {**recorded, "calibration": bytes.fromhex(recorded["calibration"])}
        values["factors"] = tuple(values["factors"])
        del values["digest"]
        commitment = Commitment(**values)
        recorded["digest"] = commitment.digest.hex()
        document["inputs"]["data"]["tags"] = [commitment.tag]

    assert f"certificate.json inputs.commitment.{name}" in places(forge(edit))


def test_another_output_is_found_though_its_digest_fits(forge: Forge, copied: Path) -> None:
    other = b"\0" * len((copied / "secrets" / "output.bin").read_bytes())
    (copied / "secrets" / "output.bin").write_bytes(other)
    name = "secrets/output.bin"
    digest = hashlib.sha256(other).hexdigest()
    assert places(forge(lambda document: document["files"].update({name: digest}))) == {name}


INPUTS: list[tuple[list[str], Any]] = [
    (["data", "tags"], ["qlq-0"]),
    (["data", "provenance", "tier"], "qpu"),
    (["data", "provenance", "program_digest"], "00" * 32),
    (["data", "provenance", "device"], "another"),
    (["data", "plan_digest"], "00" * 32),
    (["calibration", "provenance", "kind"], "qpu"),
    (["calibration", "shots_per_row"], 1),
    (["calibration", "rounds"], 3999),
    (["calibration", "blocks"], 2),
    (["seed", "origin"], "beacon"),
    (["seed", "detail"], "pulse 7"),
]


@pytest.mark.parametrize(("path", "value"), INPUTS)
def test_inputs_that_contradict_the_run_are_found(
    forge: Forge, path: list[str], value: object
) -> None:
    def edit(document: dict[str, Any]) -> None:
        here = document["inputs"]
        for name in path[:-1]:
            here = here[name]
        assert path[-1] in here
        here[path[-1]] = value

    assert not forge(edit).is_valid


def test_another_signer_is_told_and_refused_where_one_is_wanted(
    forge: Forge, made: Path, copied: Path
) -> None:
    own = bundle.check(made, signer=None).signer
    assert bundle.check(made, signer=own).is_valid
    verdict = forge(lambda _document: None)
    assert verdict.is_valid  # nothing but the key has changed
    assert verdict.signer == signed.fingerprint(FORGER.verifying_key) != own
    assert places(bundle.check(copied, signer=own)) == {"certificate.json signer"}


def test_a_signature_of_another_certificate_is_refused(copied: Path) -> None:
    file = copied / "certificate.json"
    signed = json.loads(file.read_bytes())
    signed["certificate"]["inputs"]["issued"] = "2020-01-01T00:00:00+00:00"
    file.write_bytes(folder.canonical_json(signed))
    assert places(bundle.check(copied, signer=None)) == {
        "certificate.json id", "certificate.json signature",
    }  # fmt: skip


JUNK: list[object] = [None, 7, "text", [], {}, -1, 1e300]


@pytest.mark.parametrize("junk", JUNK)
def test_fields_of_another_type_are_findings_and_nothing_else(forge: Forge, junk: object) -> None:
    for place in ("inputs", "result", "files", "format"):

        def edit(document: dict[str, Any], place: str = place) -> None:
            document[place] = junk

        assert not forge(edit).is_valid


def test_junk_deep_inside_is_a_finding(forge: Forge, made: Path) -> None:
    inputs = json.loads((made / "certificate.json").read_bytes())["certificate"]["inputs"]
    for leg in ("commitment", "calibration", "data", "seed"):
        for name in inputs[leg]:

            def edit(document: dict[str, Any], leg: str = leg, name: str = name) -> None:
                document["inputs"] = json.loads(json.dumps(inputs))
                document["inputs"][leg][name] = {"junk": [1]}

            assert not forge(edit).is_valid, (leg, name)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"schema": "another"}', b"\xff"])
def test_what_is_no_certificate_is_a_finding(copied: Path, text: bytes) -> None:
    (copied / "certificate.json").write_bytes(text)
    assert not bundle.check(copied, signer=None).is_valid


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"certificate\.json"):
        bundle.check(tmp_path, signer=None)


def test_a_folder_that_is_not_empty_is_left_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    order = certifying.CertifyOrder(("aer",), SHOTS, tmp_path / "full")
    with pytest.raises(ConfigError, match="not an empty folder"), redirect_stdout(io.StringIO()):
        certifying.certify(order, settings_of(tmp_path / "home"), lambda _text: None)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert made.is_dir()
