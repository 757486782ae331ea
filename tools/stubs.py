"""Type stubs (.pyi) of the library, for what a type checker cannot see in its source.

    python tools/stubs.py [--check]

Methods that fastcore's `@patch` adds are put into their classes, attributes and constants without an annotation get
the type they have, and the names of the front door, which are imported when they are first asked for, are said to be
where they are. Modules that need none of this get no stub. With --check nothing is written: the exit status is 1 if a
stub is not what would be written.
"""
import ast
import builtins
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "arq_nb"
KEPT = {"property", "cached_property", "setter", "classmethod", "staticmethod", "overload", "abstractmethod",
        "contextmanager"}
PATCHES = {"as_prop": "property", "cls_method": "classmethod", "static_method": "staticmethod"}
NOTHING = ast.Expr(ast.Constant(...))


def expression(text: str) -> ast.expr: return ast.parse(text, mode="eval").body


def patch_of(node):
    "The `@patch` among the decorators of a function, or None."
    if not isinstance(node, ast.FunctionDef): return None
    return next((d for d in node.decorator_list if ast.unparse(d).partition("(")[0] == "patch"), None)


def type_of(value, names: dict) -> str:
    "The type of a running value, in words that the module `names` knows."
    def any_of(values): return " | ".join(sorted({type_of(v, names) for v in values})) or "Any"
    if value is None: return "None"
    if isinstance(value, (tuple, frozenset, list, set)):
        return f"{type(value).__name__}[{any_of(value)}{', ...' if isinstance(value, tuple) else ''}]"
    if isinstance(value, dict): return f"dict[{any_of(value)}, {any_of(value.values())}]"
    name = type(value).__name__
    return name if hasattr(builtins, name) or name in names else "Any"


def function(node: ast.FunctionDef) -> ast.FunctionDef:
    "Without its body and what its decorators do besides the type."
    private = node.name.startswith("_") and not node.name.startswith("__")
    node.body = node.body[:1] if ast.get_docstring(node) is not None and not private else [NOTHING]
    node.decorator_list = [d for d in node.decorator_list if ast.unparse(d).split(".")[-1] in KEPT]
    if node.name in ("__init__", "__post_init__") and not node.returns: node.returns = ast.Constant(None)
    return node


def method(node: ast.FunctionDef) -> ast.FunctionDef:
    "A patched function as it stands in its class."
    options = {k.arg for k in getattr(patch_of(node), "keywords", [])}
    node.args.args[0].annotation = None
    node = function(node)
    node.decorator_list += [expression(PATCHES[o]) for o in PATCHES if o in options]
    if "set_prop" in options: node.decorator_list.append(expression(f"{node.name}.setter"))
    return node


def assigned(functions):
    "(function, attribute, value, annotation) of what methods assign to their `self`."
    def attribute(target): return isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
    for f in functions:
        for node in ast.walk(f):
            if isinstance(node, ast.AnnAssign) and attribute(node.target):
                yield f, node.target.attr, node.value, node.annotation
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.register_buffer":
                if isinstance(node.args[0], ast.Constant): yield f, node.args[0].value, None, expression("Tensor")
            for target in node.targets if isinstance(node, ast.Assign) else []:
                both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                pairs = zip(target.elts, node.value.elts) if both else [(target, node.value)]
                for t, v in pairs:
                    if attribute(t): yield f, t.attr, v, None


def attribute_type(f: ast.FunctionDef, value: ast.expr, names: dict) -> ast.expr:
    "That of the parameter, constant or new object it is; otherwise anything."
    parameters = {a.arg: a.annotation for a in [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]}
    if isinstance(value, ast.Name): return parameters.get(value.id) or expression("Any")
    if isinstance(value, ast.Constant) and value.value is not None: return expression(type(value.value).__name__)
    if isinstance(value, ast.Call):
        made, _, rest = ast.unparse(value.func).partition(".")
        made = names.get(made)
        for part in filter(None, rest.split(".")): made = getattr(made, part, None)
        if isinstance(made, type): return value.func
    return expression("Any")


def attributes(node: ast.ClassDef, functions, names: dict):
    "Annotations of the attributes that are set in methods alone."
    done = {ast.unparse(s.target) for s in node.body if isinstance(s, ast.AnnAssign)} | {f.name for f in functions}
    found: dict[str, ast.expr] = {}
    for f, name, value, annotation in assigned(functions):
        if name not in done: found.setdefault(name, annotation or attribute_type(f, value, names))
    return [ast.AnnAssign(ast.Name(name), kind, None, 1) for name, kind in found.items()]


def class_(node: ast.ClassDef, patched: list, names: dict) -> ast.ClassDef:
    "A class with its patched methods, without any body."
    overloads = {f.name for f in patched if "overload" in map(ast.unparse, f.decorator_list)}
    patched = [f for f in patched if f.name not in overloads or "overload" in map(ast.unparse, f.decorator_list)]
    functions = [s for s in node.body if isinstance(s, ast.FunctionDef)] + patched
    more = attributes(node, functions, names)
    new = {f.name for f in patched}
    kept = []
    for s in node.body:
        if isinstance(s, ast.FunctionDef) and s.name not in new: kept.append(function(s))
        if isinstance(s, ast.AnnAssign) or isinstance(s, ast.Expr) and s is node.body[0]: kept.append(s)
        if isinstance(s, ast.Assign): kept += constants(s, vars(names[node.name]), names)
    doc = kept[:1] if ast.get_docstring(node) is not None else []
    node.body = [*doc, *more, *kept[len(doc):], *map(method, patched)] or [NOTHING]
    return node


def constants(node: ast.Assign, values: dict, names: dict):
    "`NAME: type` for what has no annotation; aliases of types and functions, and `__all__`, stay."
    found = [n for t in node.targets for n in (t.elts if isinstance(t, ast.Tuple) else [t]) if isinstance(n, ast.Name)]
    if [n.id for n in found] == ["__all__"]: return [node]
    alias = isinstance(node.value, (ast.Name, ast.Subscript, ast.BinOp))
    if alias and not isinstance(values[found[0].id], (int, float)):
        if all(callable(values[n.id]) or "Union" in type(values[n.id]).__name__ for n in found): return [node]
    return [ast.AnnAssign(n, expression(type_of(values[n.id], names)), None, 1) for n in found]


def used(body) -> set[str]: return {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name)}


def imports_of(tree: ast.Module, wanted: set):
    "The imports of a module, as far as its stub uses them."
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)): continue
        node.names = [a for a in node.names if (a.asname or a.name).split(".")[0] in wanted]
        if node.names: yield node


def stub(name: str, source: str) -> str:
    "The stub of a module; empty where it needs none."
    tree, names = ast.parse(source), vars(importlib.import_module(name))
    patched = [node for node in tree.body if patch_of(node)]
    if not patched: return ""
    owners = {id(f): {n.id for n in ast.walk(f.args.args[0].annotation) if isinstance(n, ast.Name)} for f in patched}
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    if far := [f.name for f in patched if not owners[id(f)] <= classes]:
        raise SystemExit(f"{name}: {', '.join(far)} is patched into a class of another module")
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            body.append(class_(node, [f for f in patched if node.name in owners[id(f)]], names))
        elif isinstance(node, ast.FunctionDef) and node not in patched: body.append(function(node))
        elif isinstance(node, ast.AnnAssign): body.append(ast.AnnAssign(node.target, node.annotation, None, 1))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Name, ast.Tuple)):
            body += constants(node, names, names)
    wanted = used(body)
    head = [ast.ImportFrom("typing", [ast.alias("Any")], 0)] if "Any" in wanted and "Any" not in names else []
    if "Tensor" in wanted and "Tensor" not in names: head.append(ast.ImportFrom("torch", [ast.alias("Tensor")], 0))
    return text([*head, *imports_of(tree, wanted), *body])


def front_door() -> str:
    "Where each name of `import arq_nb` is from."
    import arq_nb
    body: list[ast.stmt] = [ast.AnnAssign(ast.Name("__version__"), ast.Name("str"), None, 1)]
    for name in sorted(getattr(arq_nb, "__all__", [])):
        value = getattr(arq_nb, name)
        home = f"{value.__name__}.{name}" if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if home and home.startswith("arq_nb."):
            body.append(ast.ImportFrom(home.removeprefix("arq_nb."), [ast.alias(name, name)], 1))
    return text(body) if len(body) > 1 else ""


def text(body) -> str:
    code = ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "--stdin-filename", "stub.pyi", "-"]
    pretty = subprocess.run(command, input=code, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return f"# Written by tools/stubs.py: edit the notebooks.\n{pretty}"


def stubs() -> dict[Path, str]:
    "Path of each stub -> its text."
    found = {LIBRARY / "__init__.pyi": front_door()}
    for path in sorted(LIBRARY.glob("*/*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[path.with_suffix(".pyi")] = stub(name, path.read_text("utf-8"))
    return {p: t for p, t in found.items() if t}


def stale(found: dict[Path, str]) -> list[Path]:
    "Stubs that are not what would be written; other formatting is no difference."
    def meaning(code): return ast.dump(ast.parse(code))
    there = {p: p.read_text("utf-8") for p in LIBRARY.rglob("*.pyi")}
    return sorted(p for p in found.keys() | there.keys()
                  if p not in found or p not in there or meaning(found[p]) != meaning(there[p]))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    found = stubs()
    changed = stale(found)
    if "--check" in sys.argv:
        for path in changed: print(f"{path.relative_to(ROOT)} is not what tools/stubs.py writes: run `make export`")
        sys.exit(bool(changed))
    for path in changed: path.write_text(found[path], "utf-8") if path in found else path.unlink()
    print(f"{len(found)} stubs, {len(changed)} changed")
