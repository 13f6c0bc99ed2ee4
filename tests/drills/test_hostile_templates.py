"""Hostile templates: each ends soon, takes little memory, and fails with a TemplateError.

The witness is a process of its own with a limit on its memory and its processor time. To add a case: a template.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from paths import ROOT

RENDER = """
import resource, sys
from pyllama3.errors import TemplateError
from pyllama3.tokenizer.chat_template import ChatTemplate
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 29),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
try:
    ChatTemplate(sys.stdin.read(), bos="<s>", eos="</s>").render([{"role": "user", "content": "Hi"}])
    print("rendered")
except TemplateError as error:
    assert str(error).isprintable() and len(str(error)) < 1000
    print("refused")
"""
DOUBLED = "{% set ns = namespace(s='xxxxxxxx', l=[1]) %}{% for i in range(60) %}"
TEMPLATES = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for x in [1, 1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 1000000000) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ 7 ** (10 ** 9) }}",
    "{{ 7 ** 7 ** 7 ** 7 ** 7 }}",
    "{{ 7.5 ** 10 ** 9 }}",
    "{{ 'x' * 10 ** 10 }}",
    "{{ 'x' * 9999999999 }}",
    "{{ [0] * 9999999999 }}",
    "{{ 'x' | center(9999999999) }}",
    "{{ 'x'.ljust(9999999999) }}",
    "{{ ('x' * 9000000).replace('x', 'y' * 9000000) }}",
    "{{ ('x' * 9000000) | replace('x', 'y' * 9000000) }}",
    "{{ ('x' * 9000000) | join('y' * 9000000) }}",
    "{{ ('x' * 9000).join('y' * 9000000) }}",
    "{{ ('x\n' * 9000000) | indent(9000000) }}",
    "{{ lipsum(n=99999999) }}",
    "{{ messages | tojson(indent=999999999) }}",
    DOUBLED + "{% set ns.s = ns.s + ns.s %}{% endfor %}",
    DOUBLED + "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    DOUBLED + "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}",
    DOUBLED + "{% set ns.s = '%s%s' % (ns.s, ns.s) %}{% endfor %}",
    DOUBLED + "{% set ns.s = '{}{}'.format(ns.s, ns.s) %}{% endfor %}",
    DOUBLED + "{% set ns.s = [ns.s, ns.s] | join %}{% endfor %}",
    DOUBLED + "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
    DOUBLED + "{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ ns.l | tojson }}",
    DOUBLED + "{% set ns.l = {'a': ns.l, 'b': ns.l} %}{% endfor %}{{ ns.l }}",
    DOUBLED + "{% set ns.l = dict(a=ns.l, b=ns.l) %}{% endfor %}{{ ns.l }}",
    DOUBLED + "{% set ns.l = ns.l + ns.l %}{% endfor %}",
    DOUBLED + "{% set ns.l = ns.l * 99 %}{% endfor %}",
    "{% set b = 'x' * 9000000 %}{% for i in range(99999) %}{{ b }}{% endfor %}",
    "{% set b = 'x' * 9000000 %}{% for i in range(99999) %}{% filter upper %}{{ b }}{% endfilter %}{% endfor %}",
    "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "{% if 1 %}" * 99 + "{% endif %}" * 99,
    "{% for i in [1] %}" * 25 + "{% endfor %}" * 25,
    "{{ " + "-" * 5000 + "1 }}",
    "{{ " + "1 + " * 5000 + "1 }}",
    "{% set x = " + "[" * 300 + "]" * 300 + " %}",
    "{% block a %}{% endblock %}{% block a %}{% endblock %}",
    "{% extends 'x' %}",
    "{{ " + "9" * 5000 + " }}",
    "{{ raise_exception('\x1b[2J\n') }}",
    "{{ None.x.y }}{{ ''.__class__ }}{{ cycler.__init__.__globals__ }}",
    "{% set class = 1 %}{{ class }}{{ messages[0].role.encode().decode('x') }}",
    "\0",
    "{{ '\ud800' }}",
]


def render(source: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:surrogatepass"}
    data = source.encode("utf-8", "surrogatepass")
    return subprocess.run([sys.executable, "-c", RENDER], input=data, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def results() -> dict[str, subprocess.CompletedProcess[bytes]]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(TEMPLATES, pool.map(render, TEMPLATES), strict=True))


@pytest.mark.parametrize("source", TEMPLATES, ids=lambda source: repr(source)[:60])
def test_hostile_templates(results: dict[str, subprocess.CompletedProcess[bytes]], source: str) -> None:
    result = results[source]
    assert (result.returncode, result.stderr[-2000:]) == (0, b"")
    assert result.stdout.strip() in (b"refused", b"rendered")
