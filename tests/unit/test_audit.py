"""What the audit of dependencies says: an advisory fails it, silence is not called health."""

from __future__ import annotations

from tests.tools.audit import verdict


def test_an_advisory_fails_and_names_the_version_to_take() -> None:
    found = {"id": "PYSEC-1", "fix_versions": ["2.0"]}
    code, lines = verdict({"dependencies": [{"name": "a", "version": "1", "vulns": [found]}]})
    assert code == 1
    assert lines == ["a 1: PYSEC-1, fixed in 2.0", "audited 1 packages: 1 advisories"]


def test_what_could_not_be_audited_is_counted_apart() -> None:
    packages = [
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "skip_reason": "not found"},
    ]
    code, lines = verdict({"dependencies": packages})
    assert code == 0
    assert "audited 1 packages" in lines[-1] and "1 COULD NOT BE AUDITED" in lines[-1]
