"""JavaScript modules joined to one script, which node runs as it runs the modules."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.running import BuildError
from tools.web.facts import as_javascript
from tools.web.modules import join_modules

MODULES = {
    "main.js": 'import { Counter, twice as double } from "./inside/a.js";\nimport { text } from "some-package";\n'
    "const value = 1; // a name that another module has, too\n"
    "console.log(new Counter().next(), double(value + 20), text);\n",
    "inside/a.js": 'import { value } from "./b.js";\n\nexport class Counter {\n  next() {\n    return value;\n  }\n}\n'
    "export function twice(x) {\n  return 2 * x;\n}\n",
    "inside/b.js": "export const value = 7;\nexport async function* nothing() {}\n",
    "node_modules/some-package/package.json": '{"name": "some-package", "version": "1.2", "module": "./dist/index.js"}',
    "node_modules/some-package/LICENSE": "Anyone may use it. */ alert(1)\n",
    "node_modules/some-package/dist/index.js": 'var text = "hi";\nvar value = 3;\nexport {\n  text,\n  value\n};\n',
    "package.json": '{"type": "module"}',
}


def write(folder: Path, changes: dict[str, str]) -> Path:
    for name, text in {**MODULES, **changes}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "main.js"


def test_the_script_does_what_the_modules_do(tmp_path: Path) -> None:
    script = join_modules(write(tmp_path, {}))
    assert script.index("Anyone may use it. * / alert(1)") < script.index('"hi"')
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node: apt install nodejs")
    result = subprocess.run([node, "-e", script], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("7 42 hi\n", "")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inside/b.js": 'import x from "./a.js";\n'}, 'cannot read \'import x from "./a.js";'),
        ({"inside/b.js": "export default 1;\n"}, "cannot read 'export default 1;'"),
        (
            {"inside/b.js": 'import { twice } from "./a.js";\nexport const value = 1;\n'},
            "imports itself by way of b.js",
        ),
        ({"inside/b.js": 'import { x } from "./none.js";\n'}, "none.js: No such file"),
        ({"inside/b.js": 'import { x } from "nowhere";\n'}, "the package 'nowhere' is not installed"),
    ],
)
def test_what_cannot_be_joined_is_told(tmp_path: Path, changes: dict[str, str], told: str) -> None:
    with pytest.raises(BuildError) as caught:
        join_modules(write(tmp_path, changes))
    assert told in str(caught.value)


def test_regular_expressions_of_python_in_javascript() -> None:
    assert as_javascript(r"(?i:'s|'re)|[^\s\p{L}]\S") == (
        r"(?:'[sS" + "\u017f" + r"]|'[rR][eE])|[^\p{White_Space}\p{L}]\P{White_Space}"
    )
    assert as_javascript(r"[!\"#\[]") == r'[!"#\[]'
