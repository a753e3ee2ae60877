# SPDX-License-Identifier: Apache-2.0
"""A strict reader of OpenMetrics 1.0 text, as far as futured writes it: counter, gauge, histogram; no timestamps, no
exemplars. What the specification demands is demanded; anything else raises ValueError with the line."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
META = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.+)\}})? (-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?|\+?Inf|NaN))")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help = name, None, "", None
        self.samples = {}  # (suffix, sorted labels): value, in order

    def value(self, suffix="", **labels):
        return self.samples[(suffix, tuple(sorted(labels.items())))]

    def check(self):
        if self.type not in SUFFIXES:
            raise ValueError(f"{self.name}: type {self.type}")
        if self.help is None:
            raise ValueError(f"{self.name}: no HELP")
        if self.unit and not self.name.endswith("_" + self.unit):
            raise ValueError(f"{self.name}: its name does not end with its unit {self.unit}")
        for suffixes in SUFFIXES.values():
            if any(s and self.name.endswith(s) for s in suffixes):
                raise ValueError(f"{self.name}: a family's name must not end like a sample's")
        for (suffix, labels), value in self.samples.items():
            if self.type != "gauge" and value < 0:
                raise ValueError(f"{self.name}{suffix}: {value}")
            if ("le" in dict(labels)) != (suffix == "_bucket"):
                raise ValueError(f"{self.name}{suffix}: label le")
        if self.type == "histogram":
            self.check_histogram()

    def check_histogram(self):
        groups = {}
        for (suffix, labels), value in self.samples.items():
            rest = tuple(label for label in labels if label[0] != "le")
            group = groups.setdefault(rest, {"buckets": []})
            if suffix == "_bucket":
                group["buckets"].append((dict(labels)["le"], value))
            else:
                group[suffix] = value
        for group in groups.values():
            bounds = [float(le) for le, _ in group["buckets"]]
            counts = [value for _, value in group["buckets"]]
            if any("." not in le and "Inf" not in le and "e" not in le for le, _ in group["buckets"]):
                raise ValueError(f"{self.name}: a bound is not written as a float")
            if bounds != sorted(set(bounds)) or counts != sorted(counts) or bounds[-1:] != [float("inf")]:
                raise ValueError(f"{self.name}: buckets {group['buckets']}")
            if counts[-1] != group["_count"] or "_sum" not in group:
                raise ValueError(f"{self.name}: count and sum")


def _labels(text):
    found, at = [], 0
    while text is not None and at < len(text):
        m = LABEL.match(text, at)
        if not m or (m[3] == "," and m.end() == len(text)):
            raise ValueError(f"labels {text}")
        found.append((m[1], re.sub(r'\\[\\"n]', lambda e: ESCAPES[e[0]], m[2])))
        at = m.end()
    if len(dict(found)) != len(found):
        raise ValueError(f"a label twice: {text}")
    return tuple(sorted(found))


def _meta(families, current, kind, name, value):
    if current is None or current.name != name:
        if name in families:
            raise ValueError(f"{name} stands twice")
        current = families[name] = Family(name)
    if current.samples:
        raise ValueError(f"{kind} of {name} behind its samples")
    attribute = kind.lower()
    if getattr(current, attribute) not in (None, ""):
        raise ValueError(f"{kind} of {name} twice")
    setattr(current, attribute, value)
    return current


def parse(text):
    """{name: Family}"""
    families, current = {}, None
    if not text.endswith("# EOF\n"):
        raise ValueError("no # EOF at the end")
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        meta, sample = META.fullmatch(line), SAMPLE.fullmatch(line)
        if meta:
            current = _meta(families, current, *meta.groups())
            continue
        if not sample:
            raise ValueError(f"neither metadata nor sample: {line!r}")
        name, labels, value = sample.groups()
        suffixes = SUFFIXES.get(current.type, ()) if current else ()
        suffix = next((s for s in suffixes if current.name + s == name), None)
        if suffix is None:
            raise ValueError(f"not of the family before it: {line!r}")
        key = (suffix, _labels(labels))
        if key in current.samples:
            raise ValueError(f"twice: {line!r}")
        current.samples[key] = float(value)
    for family in families.values():
        family.check()
    return families


def _selftest():
    good = ('# TYPE a_total_seconds gauge\n# UNIT a_total_seconds seconds\n# HELP a_total_seconds x\na_total_seconds 1\n'
            '# TYPE h histogram\n# HELP h x\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3.5\nh_count 2\n'
            '# TYPE c counter\n# HELP c x\nc_total{l="a\\"\\\\\\n,b",m=""} 5\n# EOF\n')
    assert parse(good)["c"].value("_total", l='a"\\\n,b', m="") == 5
    for old, new in (("# EOF\n", ""), ("c_total{", "c{"), ("# HELP c x\n", ""), ("# HELP h x\n", "# HELP h x\n# HELP h x\n"),
                     ('le="1.0"', 'le="1"'), ('h_bucket{le="+Inf"} 2\n', ""), ("h_count 2", "h_count 3"), ("h_sum 3.5\n", ""),
                     ("} 1\n", "} 3\n"), ("# UNIT a_total_seconds seconds", "# UNIT a_total_seconds bytes"),
                     ("} 5", "} -5"), ("} 5", "} five"), ("} 5", "}  5"), (',m=""', ',m="",'), (',m=""', ',l=""'),
                     ("# TYPE c counter", "# TYPE h counter"), ("\nc_total", "\n\nc_total"), ('l="a', 'l="\\q'),
                     ("# TYPE c counter", "# TYPE c summary")):
        assert old in good, old
        try:
            parse(good.replace(old, new))
        except ValueError:
            continue
        raise AssertionError(f"{old!r} as {new!r} is not seen")


_selftest()
