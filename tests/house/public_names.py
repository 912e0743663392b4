"""Lists the public names of the package: `python tests/house/public_names.py` rewrites the list.

A name is public if it is defined at the top of a module, is not imported there, and neither it
nor a part of its module's name begins with an underscore. Public methods of public classes count.
Templates of contracts are texts that are copied: nobody imports from them.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "public-names.txt"


def names() -> list[str]:
    """All public names, dotted and sorted."""
    found: list[str] = []
    for path in sorted((ROOT / "qlq").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if any(part.startswith("_") for part in parts) or "templates" in parts:
            continue
        body = ast.parse(path.read_bytes(), str(path)).body
        found += [f"{'.'.join(parts)}.{name}" for name in _defined(body)]
    return sorted(found)


def _defined(body: list[ast.stmt]) -> list[str]:
    """Public names that the statements define, those of a class prefixed with its name."""
    found: list[str] = []
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found.append(node.name)
            found += [f"{node.name}.{name}" for name in _defined(node.body)]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            targets = [name for target in node.targets for name in ast.walk(target)]
            found += [target.id for target in targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(node.target.id)
    return sorted({name for name in found if not name.startswith("_")})


if __name__ == "__main__":
    LIST.write_text("\n".join(names()) + "\n")
