"""Versions of the packages that compute a stage."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the installed version of each package; they enter keys."""
    return {package: _installed(package) for package in packages}


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
