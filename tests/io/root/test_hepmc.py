"""HepMC3 in ROOT trees: the same events as those of the text, to the last bit."""

from __future__ import annotations

from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot
from helpers.hepmc import event, pyhepmc, run_info, write

from hepaa import io
from hepaa.errors import InputError
from hepaa.io.root import hepmc

EVENTS = 5


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    run = run_info()
    events = [event(i, (2.0, 1.0 + i), run=run, section=(10.0 + i, 1.0)) for i in range(EVENTS)]
    return write(tmp_path_factory.mktemp("hepmc") / "events.hepmc", events)


def branches(text):
    """What WriterRootTree makes of the events of a text, but for strings, which uproot does not write into trees."""
    columns = {}
    with pyhepmc.open(str(text)) as file:
        for one in file:
            data = pyhepmc.GenEventData()
            one.write_data(data)
            lists = {f"particles.{name}": data.particles[name] for name in ("pid", "status", "is_mass_set", "mass")}
            for i, (momentum, place) in enumerate(zip(("px", "py", "pz", "e"), "xyzt", strict=True), start=1):
                lists[f"particles.momentum.m_v{i}"] = data.particles[momentum]
                lists[f"vertices.position.m_v{i}"] = data.vertices[place]
                lists[f"event_pos.m_v{i}"] = 0.0
            lists |= {"weights": one.weights, "links1": data.links1, "links2": data.links2}
            for name, values in (lists | {"momentum_unit": 1, "length_unit": 0}).items():
                columns.setdefault(name, []).append(np.array(values).tolist())
    return columns


def tree(path, columns, n=EVENTS):
    arrays = {name: ak.Array(values) for name, values in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree(hepmc.TREE, {name: values.type.content for name, values in arrays.items()})
        file[hepmc.TREE].extend({name: values[:n] for name, values in arrays.items()})
    return path


def test_a_tree_holds_what_the_text_holds(text, tmp_path):
    path = tree(tmp_path / "a.root", branches(text))
    ours, theirs = io.open(path), io.open(text)
    assert ours.format == "hepmc"
    assert ak.fields(ours.particles) == list(hepmc.PARTICLE_FIELDS)
    for name in hepmc.PARTICLE_FIELDS:
        assert ours.particles[name].tolist() == theirs.particles[name].tolist(), name
    assert [w.tolist() for w in ours.weights.values()] == [w.tolist() for w in theirs.weights.values()]
    assert ours.weight.tolist() == [2.0] * EVENTS
    assert io.open(path, weight="1").weight.tolist() == [1.0 + i for i in range(EVENTS)]
    some = list(io.iterate(path, start=1, stop=4, step_size=200))
    assert len(some) > 1
    assert np.concatenate([p.index for p in some]).tolist() == [1, 2, 3]
    assert io.count(path) == EVENTS
    none = io.open(tree(tmp_path / "none.root", branches(text), 0))
    assert (none.n, len(none.particles)) == (0, 0)


def test_mev_and_cm_are_converted(text, tmp_path):
    columns = branches(text) | {"momentum_unit": [0] * EVENTS, "length_unit": [1] * EVENTS}
    ours, theirs = io.open(tree(tmp_path / "a.root", columns)).particles, io.open(text).particles
    for name, factor in (("px", 1e-3), ("m", 1e-3), ("vz", 10.0)):
        assert ak.flatten(ours[name]).tolist() == pytest.approx((ak.flatten(theirs[name]) * factor).tolist())


def test_the_run_of_a_tree():
    names = [f"GenRunInfo/{name}" for name in ("weight_names", "tool_name", "tool_version", "tool_description")]
    names += ["hepmc3_event/attribute_name", "hepmc3_event/attribute_string"]
    values = [["nominal", "up"], ["Herwig"], ["7.3"], ["a shower"], ["alphaS", "GenCrossSection"],
              ["0.1", "12.5 0.5 1 2"]]  # fmt: skip
    branches = {n: SimpleNamespace(array=lambda v=v, **_: ak.Array([v])) for n, v in zip(names, values, strict=True)}

    class Tree(dict):
        def keys(self, **_):
            return names

    run = hepmc.run_info(Tree(branches), 3)
    assert run["weight_names"] == ["nominal", "up"]
    assert run["generator"] == "Herwig 7.3"
    assert (run["cross_section_pb"], run["cross_section_error_pb"]) == (12.5, 0.5)
    values[-1] = ["0.1", "-1 -1 0 0"]
    branches[names[-1]] = SimpleNamespace(array=lambda **_: ak.Array([values[-1]]))
    assert hepmc.run_info(Tree(branches), 3)["cross_section_pb"] is None


def test_links_to_nowhere_and_options_without_meaning(text, tmp_path):
    columns = branches(text)
    columns["links1"][3][0] = -9
    with pytest.raises(InputError, match="event 3 links"):
        io.open(tree(tmp_path / "a.root", columns))
    path = tree(tmp_path / "b.root", branches(text))
    with pytest.raises(InputError, match="no weight 'muR'"):
        io.open(path, weight="muR")
    with pytest.raises(InputError, match="take no option 'columns'"):
        io.open(path, columns=["x"])
