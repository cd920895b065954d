"""The run card: what a user writes in YAML. Every default of a run lives here, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hepaa import html
from hepaa.errors import CardError, InputError, nearest
from hepaa.events import Role
from hepaa.io.files import file_names
from hepaa.io.objects import EVENTS, merged_objects, parse_objects
from hepaa.io.texts import read_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
"""Of a process, generator, detector or category: one line that is not blank."""

Style = Literal["plain", "CMS", "ATLAS", "LHCb", "ALICE"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SampleCard(_Section):
    """Files that stand for one process from one generator."""

    process: Name = Field(description="name of the process")
    label: Name | None = Field(
        None,
        description="what figures call the process, as text or mathtext, such as ZH ($O_{HW}$); null: its name",
    )
    role: Role = Field("background", description="background, signal or data")
    generator: Name = Field("unknown", description="generator and tune")
    files: list[str] = Field(
        min_length=1,
        description="files or globs, relative to the card; addresses (root://, https://, s3://), those of copies with "
        "| between; file.root:tree for ROOT; demo:NAME for an embedded sample",
    )
    cross_section_pb: float | None = Field(
        None, gt=0, description="pb, branching fractions included; null takes what the file states"
    )
    k_factor: float = Field(1.0, gt=0, description="multiplies the cross-section")
    expected_events: float | None = Field(
        None, gt=0, description="yield before selection, in place of a cross-section and the luminosity"
    )
    share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="this generator's share of the process; null: equal shares of all generators of the process",
    )
    max_events: int | None = Field(None, gt=0, description="read no more than this many events")
    weight: str | None = Field(
        None, description="named weight to use; the cross-section stays that of the nominal weight"
    )
    truth: Literal[0, 1] | None = Field(
        None, description="keep only events that the file labels 0 (background) or 1 (signal)"
    )
    schema_: str | dict[str, Any] | None = Field(
        None, alias="schema", description="mapping of branches or columns for ROOT and feature files"
    )

    unweight: bool = Field(
        False, description="data: draw events in proportion to their weights; each that is drawn counts as 1"
    )

    @model_validator(mode="after")
    def _data_are_counted(self) -> SampleCard:
        scaling = ("weight", "k_factor", "cross_section_pb", "expected_events", "share")
        scaled = [key for key in scaling if getattr(self, key) != type(self).model_fields[key].default]
        if self.role == "data" and scaled:
            raise ValueError(f"{scaled[0]}: each event of data counts as 1; leave it out")
        if self.role != "data" and self.unweight:
            raise ValueError("unweight: for data alone; simulation keeps its weights")
        return self

    @model_validator(mode="after")
    def _one_normalisation(self) -> SampleCard:
        if self.expected_events is not None and (self.cross_section_pb is not None or self.k_factor != 1.0):
            raise ValueError("give expected_events, or cross_section_pb with k_factor, not both")
        return self


class FeatureCard(_Section):
    """Which columns are computed and which of them are trained on."""

    set: str | None = Field(
        None,
        min_length=1,
        description="name of a feature set, see `hepaa features --list`; or one of your own in a file: ./mine.py:name",
    )
    columns: list[str] | None = Field(
        None,
        min_length=1,
        description="in place of a set: columns of the files and expressions of them, such as log(pt1 / pt2) or "
        "'ratio = pt1 / pt2'",
    )
    inputs: list[str] | None = Field(None, description="columns to train on; null: all features of the set")
    selection: str | None = Field(None, description="cut on columns, such as 'ptj1 > 1200 and mjj > 2700'")
    objects: dict[str, dict[str, Any] | None] = Field(
        default_factory=dict,
        description="which objects and events count, in place of steps of the schema (`hepaa info FILE --schema`), "
        "such as {jets: {where: pt > 30, btag: btagDeepFlavB > 0.304}, events: {where: HLT_IsoMu24}}",
    )

    @model_validator(mode="after")
    def _one(self) -> FeatureCard:
        if (self.set is None) == (self.columns is None):
            raise ValueError("give either `set`, the name of a feature set, or `columns` of the files")
        return self

    @property
    def named(self) -> str | tuple[str, ...]:
        """What `hepaa.features` takes: the name of the set, or the columns."""
        return self.set or tuple(self.columns or ())

    @property
    def title(self) -> str:
        """The features in words."""
        return self.set or ", ".join(self.columns or ())

    @property
    def luminosity_mask(self) -> str | None:
        """File of certified luminosity blocks; None where there is none, or it stands in the card."""
        mask = (self.objects.get(EVENTS) or {}).get("luminosity_mask")
        return mask if isinstance(mask, str) else None

    @field_validator("objects")
    @classmethod
    def _are_steps(cls, objects: dict[str, Any]) -> dict[str, Any]:
        events = objects.get(EVENTS) or {}
        if isinstance(events.get("luminosity_mask"), str):  # a file beside the card; it is read with the events
            events = {**events, "luminosity_mask": None}
        parse_objects(merged_objects({}, {**objects, EVENTS: events or None}))
        return objects


class SplitCard(_Section):
    """Shares of events to train on, to choose the binning on, and to quote results on."""

    train: float = Field(0.5, gt=0, lt=1, description="detectors are trained here")
    validation: float = Field(0.2, gt=0, lt=1, description="choices are made here: binning, cuts")
    test: float = Field(0.3, gt=0, lt=1, description="results are quoted here")
    salt: str = Field("", description="another salt gives another split")
    train_without: list[str] = Field(
        default_factory=list, description="processes or generators that are scored but not trained on: leave one out"
    )

    @model_validator(mode="after")
    def _at_most_one(self) -> SplitCard:
        if self.train + self.validation + self.test > 1 + 1e-9:
            raise ValueError(f"train + validation + test = {self.train + self.validation + self.test:g} is above 1")
        return self


class DetectorCard(_Section):
    """One detector: a preset or a class of hepaa, with the options that differ from it."""

    name: Name | None = Field(None, description="name in figures and files; null: that of the detector")
    detector: str = Field(description="a preset, such as aa-zh, or a class, such as VAE")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the detector")
    score: str | None = Field(
        None,
        description="what a VAE scores events by: reconstruction, kl, elbo, importance, flow, mahalanobis, euclidean, "
        "cosine, rank or fisher; null: the detector's own score",
    )
    labelled: int | None = Field(
        None, gt=0, description="labelled anomalies at most, for detectors that use them; null: all that are in train"
    )
    flatten: str | None = Field(
        None, description="make the score independent of this column in background, learned on validation, such as mjj"
    )

    @property
    def label(self) -> str:
        """The name in figures and files."""
        return self.name or self.detector


class HistogramCard(_Section):
    """Binning of the anomaly score, chosen on the validation part."""

    method: Literal["optimal", "merge", "quantile", "uniform"] = Field(
        "optimal",
        description="optimal maximises the expected significance within the rules below; where there is no signal, "
        "optimal and merge are quantile: bins of equal background",
    )
    bins: int = Field(10, gt=0, description="bins at most")
    min_events: int = Field(25, gt=0, description="floor on simulated background events in a bin")
    min_background: float = Field(1.0, gt=0, description="floor on the expected background in a bin")
    max_relative_error: float = Field(
        0.3, gt=0, description="ceiling on sigma_b / b of a bin from simulated statistics"
    )


class SignificanceCard(_Section):
    """Uncertainty of the background beside simulation statistics."""

    background_uncertainty: float = Field(0.1, ge=0, description="relative, the same in all bins; log-normal")


class BlindingCard(_Section):
    """What stays unseen of data until `unblind`: the highest scores, by the share of background above them."""

    above_background_efficiency: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="data are not counted in bins of the score that reach into this share of background, which is that "
        "of validation; their scores there, p-values, and observed limits are not written",
    )


class SystematicCard(_Section):
    """An uncertainty of yields that all bins share: one nuisance parameter (two for `generators`)."""

    name: str = Field(min_length=1, pattern=r"^\w[\w .+-]*$", description="name of the nuisance parameter")
    kind: Literal["norm", "weight", "column", "objects", "generators"] = Field(
        description="norm: a factor; weight: named event weights; column: varied features; objects: features of "
        "objects that are read again from varied branches; generators: their spread"
    )
    processes: list[str] = Field(
        default_factory=list,
        description="affected processes; empty: all backgrounds (norm, generators), or all processes (all others)",
    )
    size: float | None = Field(None, gt=0, description="norm: log-normal; 0.05 is a factor of 1.05 at +1 sigma")
    up: str | dict[str, str | float] | None = Field(
        None,
        description="weight: a weight's name; column: for each varied feature a factor, or the column of varied "
        "values; objects: the same of fields and branches, such as {jets.pt: Jet_pt_jesTotalUp}, or the end of all "
        "their names, such as jesTotalUp",
    )
    down: str | dict[str, str | float] | None = Field(None, description="as up; null: up is mirrored")
    method: Literal["envelope", "leave-one-out"] = Field(
        "envelope", description="generators: each alone against the mixture, or the mixture without each"
    )

    @model_validator(mode="after")
    def _complete(self) -> SystematicCard:
        needs: dict[str, tuple[type | tuple[type, ...], str]] = {
            "weight": (str, "the name of a weight"),
            "column": (dict, "a mapping of features to factors or columns"),
            "objects": ((str, dict), "a mapping of fields to factors or branches, or the end of branches' names"),
        }
        if (self.size is None) == (self.kind == "norm"):
            raise ValueError(f"{self.name!r}: `size` belongs to kind norm, and to it alone")
        for way, value in (("up", self.up), ("down", self.down)):
            if self.kind in needs:
                expected, words = needs[self.kind]
                if not isinstance(value, expected) and not (way == "down" and value is None):
                    raise ValueError(f"{self.name!r}: give `{way}` as {words}")
            elif value is not None:
                raise ValueError(f"{self.name!r}: `{way}` belongs to the kinds weight, column and objects")
        return self


class SculptingCard(_Section):
    """Test that a cut on the score makes no bumps out of background, before any discovery is quoted."""

    mass: str = Field(description="column of the mass that is hunted for bumps, such as mjj")
    background_efficiency: float = Field(0.05, gt=0, lt=1, description="share of background that passes the cut")
    range: tuple[float, float] | None = Field(
        None, description="of the mass, GeV; null: from the peak of its spectrum to its last 0.1 percent"
    )
    bins: int = Field(30, ge=8, description="bins of equal width")
    limit: float = Field(2.0, gt=0, description="greatest overall significance of a bump in background alone")
    divergence: float = Field(
        0.1, gt=0, description="greatest Jensen-Shannon divergence of the mass spectrum beyond chance, bits"
    )
    parameters: Literal[3, 4, 5] = Field(3, description="of the dijet function")
    toys: int = Field(300, ge=20, description="a limit of 2 sigma needs 50 toys, one of 3 sigma 1000")


class FitCard(_Section):
    """HistFactory workspaces and Combine datacards: one folder a detector and signal."""

    write: bool = Field(True, description="write workspace.json, datacard.txt and shapes.root")
    luminosity_error: float = Field(0.0, ge=0, description="relative, on signal and backgrounds together")
    categories: dict[Name, str] = Field(
        default_factory=dict,
        description="channels: name and selection, such as {low: mZH < 400, high: mZH >= 400}; empty: one channel",
    )
    infer: bool = Field(False, description="fit them with pyhf: discovery significances and limits at 95 percent")


class FigureCard(_Section):
    """Looks of the figures."""

    style: Style = Field("plain", description="of fonts and labels: plain, CMS, ATLAS, LHCb or ALICE")
    label: str | None = Field(
        None, description="text beside the experiment's name; null: Simulation where the card has no data, else nothing"
    )
    cut_background_efficiency: float = Field(
        0.01, gt=0, lt=1, description="features are drawn before and after the cut that keeps this share of background"
    )


class MethodCard(_Section):
    """One method of a resonant search."""

    method: Literal["residual", "cwola", "cathode", "anode"]
    name: Name | None = Field(None, description="name in figures and files; null: that of the method")
    inputs: list[str] | None = Field(None, description="columns to learn from; null: all inputs but the mass")
    options: dict[str, Any] = Field(
        default_factory=dict, description="parameters of the method, such as {decorrelate: flatten}"
    )


class ScanCard(_Section):
    """Windows one after the other, in place of one."""

    low: float = Field(gt=0, description="where the first window begins, GeV")
    high: float = Field(gt=0, description="where the last one ends at most, GeV")
    width: float = Field(0.12, gt=0, lt=1, description="of a window, relative to its mass")
    step: float = Field(0.5, gt=0, le=1, description="from one window to the next, in widths")


class InjectionCard(_Section):
    """Signal mixed into background-only toys, where the card has a signal: how strong it has to be to be found."""

    strengths: list[float] = Field([0.0, 0.5, 1.0, 1.5, 2.2, 3.0], min_length=1, description="S / sqrt(B) before cuts")
    draws: int = Field(10, gt=0, description="mixtures at each strength")


class ResonantCard(_Section):
    """Search for a bump in one mass, with the sidebands as the only model of the background."""

    mass: str = Field(description="column of the mass, such as mjj")
    signal: tuple[float, float] = Field(description="signal region, GeV")
    sidebands: list[tuple[float, float]] = Field(min_length=1, description="sidebands, GeV; a gap is allowed")
    scan: ScanCard | None = Field(None, description="search windows all over the range, not `signal` alone")
    methods: list[MethodCard] = Field(
        default_factory=lambda: [MethodCard(method="residual")],
        min_length=1,
        description="residual, cwola, cathode or anode; of several the smallest p-value counts, calibrated on toys",
    )
    folds: int = Field(5, ge=2, description="every event is scored by a model that did not see it")
    efficiencies: list[float] = Field([0.1, 0.01, 0.003], min_length=1, description="background that passes each cut")
    bins: int = Field(30, ge=8, description="of the spectrum")
    toys: int = Field(500, ge=10, description="background-only toys for p-values; everything is trained again in each")
    check_toys: int = Field(40, ge=10, description="toys that test the method for bias")
    injection: InjectionCard = Field(default_factory=InjectionCard)


class TwoSampleCard(_Section):
    """Compare data with the backgrounds of the card, in all inputs together."""

    method: str = Field(
        "kernel",
        description="kernel (NPLM), trees, or the name of any detector, of whose scores it compares histograms",
    )
    rate: bool = Field(False, description="compare the number of events, too")
    toys: int = Field(200, ge=10, description="of the background, for the p-value")
    generators: Literal["each", "mixture"] | None = Field(
        "each", description="what may be the truth: any generator alone, any mixture of them; null: the card's mixture"
    )
    weights: list[str] = Field(default_factory=list, description="columns of varied weights over nominal ones")
    norms: dict[str, float] = Field(default_factory=dict, description="relative uncertainty of a process's yield")


class SearchCard(_Section):
    """Search of data without a signal model; blind until the card's `unblind`."""

    resonant: ResonantCard | None = None
    two_sample: TwoSampleCard | None = None

    @model_validator(mode="before")
    @classmethod
    def _blinding_is_of_the_card(cls, content: Any) -> Any:
        if isinstance(content, dict) and "unblind" in content:
            raise ValueError("`unblind` is no key of `search`: it stands at the top of the card, for `hepaa run` too")
        return content

    @model_validator(mode="after")
    def _one(self) -> SearchCard:
        if (self.resonant is None) == (self.two_sample is None):
            raise ValueError("give either `resonant` or `two_sample`")
        return self


class Rules(_Section):
    """Settings by which scores are judged."""

    seed: int = Field(0, ge=0, lt=2**32, description="seed of every random choice that has none of its own")
    luminosity_fb: float = Field(gt=0, description="integrated luminosity, fb^-1")
    sqrt_s_tev: float = Field(13.0, gt=0, description="centre-of-mass energy, TeV; printed on figures")
    histogram: HistogramCard = Field(default_factory=HistogramCard)
    significance: SignificanceCard = Field(default_factory=SignificanceCard)
    systematics: list[SystematicCard] = Field(default_factory=list)
    sculpting: SculptingCard | None = None
    blinding: BlindingCard = Field(default_factory=BlindingCard)
    unblind: bool = Field(
        False,
        description="look at all data, above the blinding cut and in the signal region of a search; recorded in the "
        "results",
    )

    def shares(self, process: str) -> dict[str, float]:
        """The share of each generator of a process in its yield, where samples are known."""
        del process
        return {}


class ScoreRules(Rules):
    """The same for one score without a card, with what figures call processes."""

    process_labels: dict[str, Name] = Field(default_factory=dict)


class Card(Rules):
    """One run, from files to significances."""

    name: str = Field(description="title of the run")
    output: str = Field(description="folder for the results, relative to where the run is started")
    samples: list[SampleCard] = Field(min_length=1, description="files, and what they stand for")
    repeated_events: bool = Field(
        False, description="samples may hold the same events several times: equal files in a process, or in two roles"
    )
    features: FeatureCard
    split: SplitCard = Field(default_factory=SplitCard)
    detectors: list[DetectorCard] = Field(default_factory=list, description="what `hepaa run` trains")
    search: SearchCard | None = Field(None, description="what `hepaa search` looks for")
    regions: dict[Name, str] = Field(
        default_factory=dict,
        description="control and validation regions: name and selection, such as {CR: mjj < 3000}; their events are "
        "trained on, but taken out of the signal region, drawn beside it, fitted with it, and never blind",
    )
    workspace: FitCard = Field(default_factory=FitCard)
    figures: FigureCard = Field(default_factory=FigureCard)

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        roles = {s.role for s in self.samples}
        if self.search is None and not self.detectors:
            raise ValueError("detectors: name one or more for `hepaa run`, or give `search` for `hepaa search`")
        if self.detectors and "background" not in roles:
            raise ValueError("samples: no sample has role background; a detector is trained on it")
        if not roles & {"signal", "data"}:
            raise ValueError("samples: no sample has role signal or data: nothing is expected, and nothing observed")
        if self.search is not None and "data" not in roles:
            raise ValueError("samples: no sample has role data; a search looks at data, or at simulation in its place")
        if self.search is not None and self.search.two_sample is not None and "background" not in roles:
            raise ValueError("samples: no sample has role background; two_sample compares data with it")
        names = [d.label for d in self.detectors]
        if len(set(names)) != len(names):
            raise ValueError(f"detectors: names stand twice in {names}; give each a name of its own")
        channels = {*names, *self.workspace.categories}
        if twice := channels & set(self.regions):
            raise ValueError(f"regions: {min(twice)!r} is the name of a detector or category, too; choose another")
        for name in self.split.train_without:
            if name not in (known := {x for s in self.samples for x in (s.process, s.generator)}):
                raise ValueError(f"split: train_without: no process or generator {name!r}; {nearest(name, known)}")
        named = [s.name for s in self.systematics]
        if reserved := {"background_uncertainty", "lumi"} & set(named):
            raise ValueError(f"systematics: the name {min(reserved)!r} is taken; choose another")
        if len(set(named)) != len(named):
            raise ValueError(f"systematics: names stand twice in {named}; give each a name of its own")
        processes = {s.process for s in self.samples}
        for systematic in self.systematics:
            for process in systematic.processes:
                if process not in processes:
                    raise ValueError(f"systematics: {systematic.name!r}: {nearest(process, processes)}")
        for process in processes:
            same = [s for s in self.samples if s.process == process]
            shares = [s.share for s in same if s.share is not None]
            if shares and (len(shares) != len(same) or abs(sum(shares) - 1) > 1e-6):
                raise ValueError(
                    f"samples: the shares of {process!r} are {shares}; give one to each sample, with sum 1"
                )
            if len({s.label for s in same}) > 1:
                raise ValueError(f"samples: {process!r} has several labels; give the same to each of its samples")
            if len({s.role for s in same}) > 1:
                raise ValueError(f"samples: {process!r} has several roles; name the processes apart")
        return self

    def share(self, sample: SampleCard) -> float:
        """The share of its process's yield that a sample carries: generators of one process are alternatives."""
        if sample.share is not None:
            return sample.share
        return 1.0 / sum(s.process == sample.process for s in self.samples)

    def shares(self, process: str) -> dict[str, float]:
        """The share of each generator of a process in its yield."""
        shares: dict[str, float] = {}
        for sample in self.samples:
            if sample.process == process:
                shares[sample.generator] = shares.get(sample.generator, 0.0) + self.share(sample)
        return shares

    def changed(self, **values: Any) -> Card:
        """The card with other values of keys, checked as if they stood in it.

        Raises
        ------
        CardError
            If a key is unknown or a value wrong.
        """
        try:
            return Card.model_validate(self.model_dump(by_alias=True) | values)
        except ValidationError as wrong:
            raise CardError(_explain(wrong, self.name)) from None

    @property
    def has_data(self) -> bool:
        """Whether a sample has role data."""
        return any(s.role == "data" for s in self.samples)

    @property
    def label(self) -> str:
        """Text beside the experiment's name in figures."""
        if self.figures.label is not None:
            return self.figures.label
        return "" if self.has_data else "Simulation"

    @property
    def process_labels(self) -> dict[str, str]:
        """What figures call processes that have a label of their own, and data of any name as `data`."""
        labels = {s.process: s.label for s in self.samples if s.label is not None}
        data = {s.label: None for s in self.samples if s.role == "data" and s.label is not None}
        return labels | ({"data": ", ".join(data)} if data else {})

    @property
    def file_names(self) -> dict[str, str]:
        """What files of each detector are called, by its label."""
        return file_names(d.label for d in self.detectors)

    def to_yaml(self) -> str:
        """The card with all defaults, as YAML that gives the same card again."""
        return yaml.safe_dump(self.model_dump(by_alias=True, mode="json"), sort_keys=False, allow_unicode=True)

    def _repr_html_(self) -> str:
        """The YAML, for notebooks."""
        return html.text(self.to_yaml(), caption="run card")


def load_card(path: str | Path) -> Card:
    """Read a card from YAML; file names in it become relative to the card.

    Raises
    ------
    CardError
        If the file is missing, is no YAML, or has an unknown key or a wrong value: the message gives the path to it
        and the nearest valid key.
    """
    source = Path(path)
    try:
        content = read_yaml(source)
    except FileNotFoundError:
        raise CardError(f"{source}: no such file; `hepaa init zh` writes a card to start from") from None
    except InputError as broken:
        raise CardError(str(broken)) from broken
    return parse_card(content, source=source)


def parse_card(content: Any, *, source: Path) -> Card:
    """A card from parsed YAML; `source` names it in errors, and its folder is where relative file names start."""
    if not isinstance(content, dict):
        raise CardError(f"{source}: a card is a mapping of keys to values, not {type(content).__name__}")
    try:
        card = Card.model_validate(content)
    except ValidationError as wrong:
        raise CardError(_explain(wrong, source)) from None
    folder, features = source.parent, card.features
    if ".py:" in (features.set or ""):
        features = features.model_copy(update={"set": _resolve(features.set or "", folder)})
    if features.luminosity_mask is not None:
        events = {**(features.objects[EVENTS] or {}), "luminosity_mask": _resolve(features.luminosity_mask, folder)}
        features = features.model_copy(update={"objects": {**features.objects, EVENTS: events}})
    samples = [_with_paths(s, folder) for s in card.samples]
    detectors = [_with_encoder(d, folder) for d in card.detectors]
    return card.model_copy(update={"samples": samples, "features": features, "detectors": detectors})


def _with_encoder(entry: DetectorCard, folder: Path) -> DetectorCard:
    encoder = entry.options.get("encoder")
    if not isinstance(encoder, str) or not encoder.endswith(".safetensors"):
        return entry
    return entry.model_copy(update={"options": {**entry.options, "encoder": _resolve(encoder, folder)}})


def _with_paths(sample: SampleCard, folder: Path) -> SampleCard:
    schema = sample.schema_
    if isinstance(schema, str) and schema.endswith((".yaml", ".yml")):
        schema = _resolve(schema, folder)
    return sample.model_copy(update={"files": [_resolve(f, folder) for f in sample.files], "schema_": schema})


def _resolve(name: str, folder: Path) -> str:
    if name.startswith("demo:"):
        from hepaa.demo import path

        return str(path(name.removeprefix("demo:")))
    return name if "://" in name else str(folder / name)


def _explain(wrong: ValidationError, source: Path | str) -> str:
    """One error, as a sentence that starts with the path to the wrong key: a misspelt key before a missing one."""
    error = min(wrong.errors(), key=lambda e: e["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in error["loc"])
    more = f" ({wrong.error_count() - 1} more)" if wrong.error_count() > 1 else ""
    if error["type"] == "extra_forbidden":
        keys = _keys_at(error["loc"][:-1])
        return f"{source}: {place}: unknown key; {nearest(str(error['loc'][-1]), keys)}{more}"
    message = error["msg"].removeprefix("Value error, ")
    value = "" if error["type"] in {"missing", "value_error"} else f", not {error['input']!r}"
    return f"{source}: {f'{place}: ' if place else ''}{message}{value}{more}"


def _keys_at(location: Sequence[int | str]) -> list[str]:
    """Valid keys of the section that a pydantic location leads to."""
    section: type[BaseModel] = Card
    for step in location:
        if isinstance(step, str) and step in section.model_fields:
            annotation = section.model_fields[step].annotation
            inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
            section = inner[0]
    return [field.alias or name for name, field in section.model_fields.items()]
