"""What each section of the results page asks, on which events, and what comes out; and the claims of the front table.

`{KEY | ROW}` and `{KEY | ROW | COLUMN}` in a text stand for that value of `results/KEY.json`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PUBLISHED = "the source's network (16 hidden units, 2 latent), batches and epochs"
ENSEMBLE = "five networks of 64 hidden units and 4 latent ones, whose errors are averaged"


@dataclass(frozen=True, eq=False)
class Section:
    """One question of the page.

    Attributes
    ----------
    question : str
        The heading.
    asked, events, outcome : str
        A sentence or two each: what is asked, on which events, what comes out.
    words : dict
        Meaning of the terms in its tables.
    in_view : str
        Which signals were in view when settings were chosen; empty where nothing was chosen.
    tables : tuple of str
        Keys of results, or patterns of them such as "bead_*".
    figures : dict of name -> caption
    scripts : tuple of str
        Their names, or patterns of them.
    """

    question: str
    asked: str
    events: str
    outcome: str
    scripts: tuple[str, ...]
    tables: tuple[str, ...] = ()
    figures: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    in_view: str = ""


@dataclass(frozen=True)
class Claim:
    """One line of the front table; `question` is the section that it links to."""

    name: str
    question: str
    published: str
    here: str
    ceiling: str = ""


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


IMAGES = Section(
    "Images: does Anomaly Awareness find photographs among digits?",
    "A VAE learns digits, is told that clothes are anomalies, and is tested on photographs that it has never seen.",
    "MNIST against CIFAR-10, tuned on Fashion-MNIST; 10,000 digits for training, 10,000 + 2,000 images for the test.",
    "Scored as in the source, by the squared error of the pixels, the AUC goes from {aa_images | VAE} to "
    "{aa_images | Anomaly-Aware VAE, 10,000 labels}. Scored by the cross-entropy it was trained with, everything is "
    "1.0000, and so is the entropy of the pixels without a model: that score says nothing.",
    ("aa_images", "aa_figures"),
    ("aa_images",),
    {"aa_errors_images": "Errors before and after the tuning, and ROC curves (first seed): the source's Fig. 1."},
)
TRAFFIC = Section(
    "Network traffic: does Anomaly Awareness find attacks of another kind?",
    "A VAE learns benign flows, is tuned on brute-force attacks, and is tested on denial of service.",
    "CICIDS 2017 in the corrected re-extraction, 73 features, 1,354 benign flows for training.",
    "With the published batches of 512 this small sample makes 3 steps an epoch and tuning loses "
    "({aa_cicids | VAE, published settings} to {aa_cicids | Anomaly-Aware VAE, published settings, 4,622 labels}); in "
    "batches of 64, 21 steps, the same settings gain: {aa_cicids | VAE, published settings in batches of 64} to "
    "{aa_cicids | Anomaly-Aware VAE, published settings in batches of 64, 4,622 labels}. Settings of our own reach "
    "{aa_cicids | Anomaly-Aware VAE, 4,622 labels}, over half of that gain without labels too.",
    ("aa_cicids", "aa_figures"),
    ("aa_cicids",),
    {"aa_errors_cicids": "Errors before and after the tuning, and ROC curves (first seed): the source's Fig. 2."},
    {
        "published settings": PUBLISHED + ", one mean a class in the loss",
        "noised benign flows for labels": "no label is used: benign flows with noise stand for the anomalies",
    },
    "our own settings were chosen on benign flows and brute force alone, after earlier settings had been looked at on "
    "the denial-of-service flows; the batch of 64 was named by a reader who had seen its result.",
)
REGION = Section(
    "LHC Olympics: what do labels of the signal give?",
    "A VAE learns QCD dijets and is tuned on labelled W' events, as in the source.",
    "LHCO R&D events with m_jj in 3.3 .. 3.7 TeV, 4 features (the source: 14 features, all masses); a test file apart.",
    "The AUC goes from {aa_lhco | VAE 16-2} to "
    "{aa_lhco | Anomaly-Aware VAE 16-2, 6,000 labels} with the published settings; 100 labels are "
    "enough for {aa_lhco | Anomaly-Aware ensemble, 100 labels}.",
    ("aa_lhco", "aa_lhco_full", "aa_figures"),
    ("aa_lhco",),
    {"aa_errors_lhco": "Errors before and after the tuning, and ROC curves (first seed): the source's Fig. 3."},
    {"16-2": PUBLISHED, "ensemble": ENSEMBLE},
    "the W' of this table, on a part of the training events.",
)
ZH = Section(
    "SMEFT: what do labels give in ZH?",
    "A VAE learns the Standard Model's ZH and is tuned on labelled events of the operator O_HW.",
    "pp -> ZH -> llbb of MadGraph and SMEFTsim, 13 inputs; the signal is the quadratic term of c_HW alone, as in the "
    "source; the last table has the interference too.",
    "The AUC goes from {aa_zh | VAE} to {aa_zh | Anomaly-Aware VAE, 3,000 labels}. The published 0.64 without labels "
    "is what a VAE gives that has learned nothing ({aa_zh | VAE, squared error averaged over the inputs}), or no model "
    "at all ({aa_zh | sum of z^2 (no model)}). With interference at c_HW = 0.3 TeV^-2, where nature would be, no "
    "detector here reaches 0.53, and the exact likelihood ratio is no better than "
    "{zh_scans_smeft | exact likelihood ratio (ceiling) | c_HW = 0.3}.",
    ("aa_zh", "zh_scans", "aa_figures"),
    ("aa_zh", "zh_scans_labels", "zh_scans_lambda", "zh_scans_smeft"),
    {
        "aa_errors_zh": "Errors before and after the tuning, and ROC curves (first seed): the source's Fig. 4.",
        "zh_scans_lambda": "AUC against the strength of the tuning: the source's Fig. 5.",
        "zh_scans_background": "Median error of the background against the strength: tuning too hard degrades it.",
        "zh_scans_labels": "AUC against the number of labels.",
    },
    {
        "published settings": PUBLISHED,
        "inputs without azimuth": "10 inputs that rotation and reflection leave as they are (`zh-invariant`)",
        "ensemble": "five networks of the published kind, trained for 20 epochs, whose errors are averaged",
        "lambda_max": "weight of the labelled anomalies at the end of the tuning",
    },
    "O_HW, on a part of the training events; lambda_max = 1 was fixed before the scans.",
)
VBF = Section(
    "A second EFT analysis: five operators in vector-boson fusion",
    "Tuned on the quadratic term of one operator, what does a detector make of the others, and of nature?",
    "Public MadGraph + SMEFTsim events of p p -> h q q with weights, eight inputs without azimuth; 3,000 labels of "
    "c_HW.",
    "Labels of c_HW give {smeft_vbf_quadratic | Anomaly-Aware VAE, published settings, 3,000 labels of cHW | cHW} on "
    "its own quadratic term, near the ceiling, and take c_HB from {smeft_vbf_quadratic | VAE, published settings | "
    "cHB} to {smeft_vbf_quadratic | Anomaly-Aware VAE, published settings, 3,000 labels of cHW | cHB}, whose spread is "
    "large because few events carry its term. At 0.2 TeV^-2, where interference counts most, nothing is far from 0.5, "
    "the exact likelihood ratio neither. c_Hbox changes the rate alone and is at 0.5 everywhere, as it has to be.",
    ("smeft_vbf",),
    ("smeft_vbf_quadratic", "smeft_vbf_full"),
    words={
        "published settings": PUBLISHED + ", as for ZH",
        "ensemble": "five networks of the same kind, whose errors are averaged",
        "quadratic terms": "the squares of the operators' amplitudes alone",
        "0.2 TeV^-2": "Standard Model, interference and square at this value of the coefficient",
        "exact likelihood ratio": "the weight of each event, all partons known, flavours included",
    },
)
UNSEEN = Section(
    "Unseen anomalies: does tuning on one signal help with another?",
    "The source claims improvement on unseen anomalies and tests on the class that it was tuned on; here each detector "
    "is tuned on one dijet signal and tested on three.",
    "Dijets of Pythia 8 (Monash) at m_jj around 3.5 TeV; W' -> X(500) Y(100), W' -> X(1000) Y(400), semi-visible jets.",
    "As published, no: tuned on W'(500, 100) the AUC on semi-visible jets falls from "
    "{aa_dijets_svj | VAE 16-2, 14 inputs, untuned} to "
    "{aa_dijets_svj | AA 16-2, 14 inputs, tuned on W'(500, 100)}, below one half in most seeds. A density that "
    "labels do not bend, joined with it, cures that: {aa_dijets_svj | AA or density, tuned on W'(500, 100)} there and "
    "{aa_dijets_w500 | AA or density, tuned on W'(500, 100)} on the signal it was tuned on. Chosen without the tested "
    "signal in view the join has "
    "{aa_dijets_svj | AA or density, join chosen without the tested signal, tuned on W'(500, 100)} there, but only "
    "{aa_dijets_svj | AA or density, join chosen without the tested signal, tuned on W'(1000, 400)} when tuned on the "
    "other W': the cure depends on what was in view.",
    ("aa_dijets",),
    ("aa_dijets_w500", "aa_dijets_svj", "aa_dijets_w1000"),
    words={
        "16-2, 14 inputs": PUBLISHED + ", on the source's 14 inputs",
        "AA": "Anomaly Awareness, " + ENSEMBLE + ', inputs without azimuth; "VAE" the same without labels',
        "density": "flow and Gaussian mixture, without the inputs that labels show to be alike in signal and "
        "background",
        "AA or density": "an event is as anomalous as the stronger of the two says, AA's word being discounted",
        "14,000 labels": "where no number is given",
    },
    in_view="all three, but for the rows that say otherwise. How AA and density are joined (`aa-or-density`) and when "
    "a feature counts as alike (`relevant-density`) were chosen on a fifth of the training events with the three "
    "signals of these tables.",
)
SIC = Section(
    "LHC Olympics: what is a detector worth at a hard cut?",
    "Maximal SIC at S/B = 0.6 %: what a cut adds to the significance.",
    "LHCO R&D events with m_jj in 3.3 .. 3.7 TeV, 4 features; SIC where 25 of 40,000 background events pass.",
    "100 labels give {lhco_sic | Anomaly-Aware ensemble, logarithm of the error, 100 labels}, 1,000 "
    "{lhco_sic | Anomaly-Aware ensemble, logarithm of the error, 1,000 labels}, nearly the ceiling; with the published "
    "clip more labels gave less ({lhco_sic | Anomaly-Aware ensemble, error clipped at 50, 100 labels} and "
    "{lhco_sic | Anomaly-Aware ensemble, error clipped at 50, 1,000 labels}), because nothing is learned beyond the "
    "clip, where hard cuts lie. The ceiling here is below the printed "
    "17.65 because the test ends earlier: SIC still rises where the last 25 events pass "
    "({lhco_sic | boosting, 20,000 labels (ceiling), where 10 background events pass} where 10 pass).",
    ("lhco_sic",),
    ("lhco_sic",),
    {"lhco_sic": "SIC against signal efficiency, first seed; lines are the literature's maxima."},
    {
        "published settings": PUBLISHED,
        "ensemble": ENSEMBLE,
        "error clipped, logarithm": "what a labelled anomaly earns in the loss: its error up to 50, or its logarithm",
        "(literature)": "of arXiv:2109.00546, with more events",
    },
    "the W' of this table, on a quarter of the training events, for the logarithm and the ensemble.",
)
NO_LABELS = Section(
    "Without labels: which detector finds most?",
    "Detectors that see no label, beside the sum of squares, which every one of them has to beat.",
    "LHCO signal region (4 features); ZH against O_HW and dijets against three signals, inputs without azimuth.",
    "Densities win: nearest neighbours on LHCO ({label_free_lhco | nearest neighbours} against "
    "{label_free_lhco | sum of z^2} for the sum of squares), ZH and W'(500, 100); flow and mixture are close to them "
    "and find semi-visible jets too ({label_free_dijets | flow, semi-visible jets} against "
    "{label_free_dijets | nearest neighbours, semi-visible jets}). The published VAE is below the sum of squares "
    "everywhere but on semi-visible jets.",
    ("label_free",),
    ("label_free_lhco", "label_free_zh", "label_free_dijets"),
    words={
        "VAE 16-2": PUBLISHED,
        "noised background for labels": "no label is used: background with noise in each feature stands for anomalies",
        "sum of z^2": "sum of the squared standardised inputs: no model",
    },
    in_view='all signals of these tables, on a part of the training events: "no labels" describes the trainings, not '
    "the choice of their settings.",
)
BEAD_MAP = Section(
    "Enriched background: what do contrast, flows and a wider latent space bring?",
    "After BEAD: VAEs trained on several generators together, with contrast between them, and with flows as "
    "posterior; how well does their reconstruction error find signals that no training has seen?",
    "Dijets of five generators (Pythia 8 Monash and Vincia, Pythia 6 Perugia 0 and Tune A, Sherpa 3.0.3), 14 "
    "features, 5,000 training events of each; three signals; about 98,500 test events of the background, of which a "
    "cut at 0.01 % keeps 9.",
    "A wider network gives most: 64 hidden and 8 latent units in place of the source's 16 and 2 add {bead_map_gains | "
    "64 hidden, 8 latent over 16 hidden, 2 latent, no contrast | difference} to the median AUC without any contrast, "
    "15 latent units {bead_map_gains | 64 hidden, 15 latent over 16 hidden, 2 latent, no contrast | difference}. "
    "SupCon adds {bead_map_gains | SupCon over none, 64 hidden, 8 latent | difference} at 64 and 8 (error of the mean "
    "{bead_map_gains | SupCon over none, 64 hidden, 8 latent | error of the mean}), {bead_map_gains | SupCon over "
    "none, 64 hidden, 15 latent | difference} at 64 and 15 ({bead_map_gains | SupCon over none, 64 hidden, 15 latent "
    "| error of the mean}) and {bead_map_gains | SupCon over none, 16 hidden, 2 latent | difference} at 16 and 2 "
    "({bead_map_gains | SupCon over none, 16 hidden, 2 latent | error of the mean}); NT-Xent {bead_map_gains | "
    "NT-Xent over none, 64 hidden, 8 latent | difference} at 64 and 8. The same network trained for 3 epochs has "
    "{bead_map_variants | 64 hidden, 8 latent, KL weight 0.001, 3 epochs | none} without contrast, where 10 epochs "
    "have {bead_map_variants | 64 hidden, 8 latent, KL weight 0.001 | none} without and {bead_map_variants | 64 "
    "hidden, 8 latent, KL weight 0.001 | SupCon} with it. A Gaussian mixture without a network has "
    "{bead_map_published | Gaussian mixture (no network), median AUC}.",
    ("bead_map",),
    (
        "bead_map",
        "bead_map_gains",
        "bead_map_variants",
        "bead_map_signals",
        "bead_map_kept",
        "bead_map_choice",
        "bead_map_chosen",
        "bead_map_published",
    ),
    {
        "bead_map": "The map: median AUC by network, posterior and contrast; bars are the spread of five seeds.",
        "bead_map_roc": "ROC curves of the map, Gaussian posterior, mean of five seeds; the thin line is chance.",
    },
    words={
        "hidden, latent": "units of the encoder's hidden layer, and dimensions of the latent space; 16 and 2 are "
        "those of the Anomaly Awareness source, 64 and 15 have BEAD's latent space",
        "SupCon, NT-Xent": "contrast that brings together the events of a generator, or two noisy views of an event",
        "difference": "paired over seeds, with its standard deviation; of contrast and width the mean over the five "
        "posteriors",
        "KL weight": "beta of the loss; risen: linearly from 0 over half of the epochs; the contrast has the weight "
        "and temperature that were chosen at 0.001",
        "published": "values of logs in the branch experiment/2_class_training of BEAD's repository, with other "
        "signals, of particles in three jets, and another network",
    },
    in_view="all three, on 1,500 events of each generator (Vincia: what is left) and the training part of the "
    "signals, on which weight and temperature of the contrast were chosen, a choice that the rows without contrast "
    "did not have; and, in a first look at the training parts of one seed, for the learning rate, the KL weight and "
    "the number of epochs.",
)
BEAD_SCORES = Section(
    "Enriched background: by which score, and does the latent space know the generators?",
    "The networks of the map with a Householder flow, by ten scores; and what a linear map makes of the latent means.",
    "The same.",
    "The reconstruction error is the best score, or within the spread of it ({bead_map_scores | reconstruction error "
    "| 8 latent, SupCon} with SupCon and 8 latent units), before the combinations and the Mahalanobis distance from "
    "the nearest generator ({bead_map_scores | Mahalanobis distance from the nearest generator | 8 latent, SupCon}). "
    "A linear map of the latent means finds the generator of {bead_map_latent | 64 hidden, 8 latent, SupCon | "
    "balanced accuracy in %} % of the events with SupCon, {bead_map_latent | 64 hidden, 8 latent, none | balanced "
    "accuracy in %} % without, {bead_map_latent | 14 features (no network) | balanced accuracy in %} % from the "
    "features themselves; guessing has 20 %. So there are no clusters of generators for the distance to use, and what "
    "contrast gives the reconstruction is not that.",
    ("bead_map",),
    ("bead_map_scores", "bead_map_latent"),
    words={"rank, Fisher": "combinations of reconstruction error, KL divergence and Mahalanobis distance"},
)
BEAD_GENERATORS = Section(
    "Enriched background: which generators to train on, and what of one that is left out?",
    "A cut keeps 1 % of the held-out events of the generators trained on; what does it keep of each generator?",
    "The same; Gaussian posterior. In the first table every training has 5,000 events in all and as many steps. "
    "Differences between Sherpa and the others below 0.02 in the distribution of a feature are the detector's.",
    "Close to 1 %: with all but Sherpa in it, {bead_map_left_out | 64 hidden, 8 latent, none | reconstruction, at 1 "
    "%} % of Sherpa without contrast and {bead_map_left_out | 64 hidden, 8 latent, SupCon | reconstruction, at 1 %} % "
    "with SupCon; trained on Monash alone, {bead_map_generators | Monash alone, none | Sherpa} %. The largest excess "
    "is that of Monash for a training on Tune A alone, {bead_map_generators | Tune A alone, none | Monash} % and with "
    "NT-Xent {bead_map_generators | Tune A alone, NT-Xent | Monash} %, which any mixture cures. The AUC "
    "depends little on it: {bead_map_generators | Monash alone, none | AUC} with Monash alone, "
    "{bead_map_generators | all, none | AUC} with all; views of events, which need no second generator, change neither "
    "({bead_map_generators | Monash alone, NT-Xent | AUC} and {bead_map_generators | all, NT-Xent | AUC}).",
    ("bead_map",),
    ("bead_map_generators", "bead_map_left_out"),
    words={"signal kept": "at 1 % of all generators, median of the three signals, in %"},
)
BEAD_INPUTS = Section(
    "Enriched background: features or particles?",
    "The 14 features, or the 20 hardest particles of both leading jets through DeepSets and a transformer.",
    "Simulated dijets of Pythia 8 with Monash, A14 and Vincia, 4,000 of each for training; and raw events of the data "
    "pack, 750 of each of five generators. Neither has pdg codes or b-tags. W'(500, 100) and semi-visible jets.",
    "W' is found better from particles ({bead_particles | particles, DeepSets, none | W'(500, 100), reconstruction}) "
    "than from features ({bead_particles | 14 features, none | W'(500, 100), reconstruction}); semi-visible jets, "
    "which are easier to reconstruct than the background, from features alone ({bead_particles | 14 features, none | "
    "semi-visible jets, reconstruction} against {bead_particles | particles, DeepSets, none | semi-visible jets, "
    "reconstruction}). Five generators and fewer events say the same: {bead_map_inputs | particles, DeepSets, none | "
    "W'(500, 100), reconstruction} against {bead_map_inputs | 14 features, none | W'(500, 100), reconstruction} for "
    "W'. A Gaussian mixture of the features is as good as particles for W' ({bead_particles | 14 features, Gaussian "
    "mixture (no network) | W'(500, 100), reconstruction}) and better than all for semi-visible jets "
    "({bead_particles | 14 features, Gaussian mixture (no network) | semi-visible jets, reconstruction}). Contrast "
    "makes no reconstruction of particles better. With views of events the distance from the generators in the latent "
    "space of particles finds W' ({bead_particles | particles, DeepSets, NT-Xent | W'(500, 100), "
    "Mahalanobis}; without, {bead_particles | particles, DeepSets, none | W'(500, 100), Mahalanobis}); generators are "
    "not told apart in it.",
    ("bead_particles", "bead_map"),
    ("bead_particles", "bead_map_inputs"),
    words={
        "generator": "balanced accuracy of a linear map of the latent means; guessing has 33 % of three generators, "
        "20 % of five"
    },
    in_view="none; of the simulated events, weight and temperature of the contrast were fixed at 0.1 and 0.07; of the "
    "raw ones, they are those of the 14 features, 64 hidden and 8 latent units.",
)
ANORAND_LABELS = Section(
    "AnoRand with labels: are the printed numbers reached?",
    "AUC-PR on the data sets of the source's Table 2 that are at hand, beside what other classifiers make of the "
    "labels.",
    "ADBench, 70/30 splits, 5 seeds; images and texts as embeddings.",
    "On average no ({anorand_adbench | mean | here} against {anorand_adbench | mean | published}): the number printed "
    "for MVTec-AD is of test rows that training has seen, and no classifier here reaches those of celeba and CIFAR10. "
    "Boosted trees, not tuned, are as good in the mean and rank before it: LightGBM {anorand_supervised | mean | "
    "LightGBM}, CatBoost {anorand_supervised | mean | CatBoost}; mean ranks among nine are {anorand_supervised | "
    "mean rank | LightGBM} and {anorand_supervised | mean rank | CatBoost}, that of AnoRand {anorand_supervised | mean "
    "rank | AnoRand}.",
    ("anorand_adbench", "anorand_supervised"),
    ("anorand_adbench", "anorand_supervised"),
)
ANORAND_IMAGES = Section(
    "AnoRand: digits 1 against 7, by errors and by latent vectors",
    "Autoencoder, VAE and AnoRand learn ones and are asked for sevens, by their score and by the distance in their "
    "latent space.",
    "MNIST, no labels; the source shows pictures of latent spaces and no numbers.",
    "By their errors, autoencoder and VAE ({anorand_images | VAE | score: AUC} %) are as good as nearest neighbours "
    "and better than AnoRand's score ({anorand_images | AnoRand | score: AUC} %). AnoRand's latent vector tells sevens "
    "apart better than its score ({anorand_images | AnoRand | latent distance: AUC} %); two dimensions, where sevens "
    "lie among ones, do not ({anorand_images | VAE | latent distance: AUC} %).",
    ("anorand_images",),
    ("anorand_images",),
    {"anorand_latent": "First two principal components of each latent space, first seed (the source's Figs. 6, 7)."},
    {"latent distance": "Mahalanobis' from the mean of the training ones"},
)
ANORAND_SYNTHETIC = Section(
    "AnoRand on synthetic data: precision and training time",
    "AUC-PR and CPU time of the training against the number of rows, without labels.",
    "scikit-learn's make_classification, 20 features, 10 % anomalies.",
    "At 10,000 rows AnoRand has {anorand_synthetic | AnoRand | AUC-PR, 10,000 rows} % in "
    "{anorand_synthetic | AnoRand | CPU s, 10,000 rows} s, nearest neighbours "
    "{anorand_synthetic | KNN | AUC-PR, 10,000 rows} % in {anorand_synthetic | KNN | CPU s, 10,000 rows} s, a Gaussian "
    "mixture {anorand_synthetic | GMM | AUC-PR, 10,000 rows} % in a hundredth of a second; with fewer rows the mixture "
    "is the best of all.",
    ("anorand_synthetic",),
    ("anorand_synthetic",),
    {"anorand_synthetic": "AUC-PR and training time against the number of rows (the source's Fig. 5)."},
)
ANORAND_SCANS = Section(
    "AnoRand: are its weight and its noise as good as printed?",
    "AUC-PR against w, the weight of the classifier in the loss, and against the noise of the pseudo-anomalies.",
    "scikit-learn's make_classification, 10 % anomalies; annthyroid, fault and Wilt of ADBench, at most 700 training "
    "rows; and training parts of ADBench's sets.",
    "No: the source finds the best w at 0.2 and noise above 0.52 stable; here precision rises with w up to about 0.8 "
    "and stays there up to w = 1, where no autoencoder is left, on synthetic data and on three real sets; published "
    "noise makes no difference between 0.1 and 4. Noise along principal components, on all rows, does.",
    ("anorand_scans",),
    ("anorand_scans", "anorand_choice"),
    {
        "anorand_w": "With labels: AUC-PR against w (the source's Fig. 3), on synthetic data and in the mean of three "
        "sets of ADBench.",
        "anorand_noise": "Without labels: AUC-PR against the noise (the source's Fig. 4), on the same data.",
    },
    {
        "published form (rerun)": "noise of 0.6 in each feature on 2 % of the rows, grown to 5 %, w = 0.2, learning "
        "rate 1e-4, 200 epochs",
        "quartiles, standardised": "how the scores of classifier and autoencoder are joined",
    },
    "labels of the training parts chose one setting for all sets.",
)
ANORAND_PEERS = Section(
    "AnoRand without labels: how does it rank among 15 detectors?",
    "Detectors of PyOD with its defaults and AnoRand on the same splits, by mean rank and by mean precision.",
    "39 data sets of ADBench, at most 1,000 training and test rows, 5 seeds.",
    "Second of 17 by mean rank of AUC-PR ({anorand_peers | AnoRand | mean rank by AUC-PR}), third by that of AUC-ROC "
    "({anorand_peers | AnoRand | mean rank by AUC-ROC}), fifth by mean AUC-PR ({anorand_peers | AnoRand | AUC-PR in %} "
    "%); no difference among the first is significant. The published form is last.",
    ("anorand_peers",),
    ("anorand_peers",),
    {
        "anorand_ranks_pr": "Mean ranks by AUC-PR; bars join detectors that do not differ at 5 % (Nemenyi).",
        "anorand_ranks_roc": "Mean ranks by AUC-ROC.",
        "anorand_boxes": "AUC-PR over the sets: median, quartiles (the source's Fig. 8).",
    },
    {"its classifier, its autoencoder alone": "the two parts of the score of AnoRand"},
    "AnoRand's settings were chosen once for all sets, with labels of training parts; the peers' have seen none.",
)
GENERATORS = Section(
    "Dijets: what is left of a significance when generators disagree?",
    "Expected Z of ten detectors, trained on one generator or on three, with the spread of four generators as an "
    "uncertainty.",
    "Dijets, inputs without azimuth; 100 signal events on a background of 10,000 in 300 fb^-1; Vincia left out of all "
    "trainings.",
    "Without labels the spread takes more than half of Z for both W', and a quarter to five sixths of it for "
    "semi-visible jets: a Gaussian mixture trained on Monash goes from "
    "{everything | Gaussian mixture, Monash | semi-visible jets, without generators} to "
    "{everything | Gaussian mixture, Monash | semi-visible jets} there. 100 labels keep "
    "{everything | AA, 100 labels of W'(500, 100), Monash | W'(500, 100)} of "
    "{everything | AA, 100 labels of W'(500, 100), Monash | W'(500, 100), without generators} on their own signal, and "
    "give nothing on the others.",
    ("everything",),
    ("everything",),
    words={
        "without generators": "Monte-Carlo statistics as the only uncertainty",
        "Monash, Perugia 0, Tune A, all three": "the generators that were trained on, which also predict the "
        "background",
    },
)
SCULPTING = Section(
    "Which cuts may be followed by a bump hunt?",
    "The gate closes where a cut on a score makes a bump out of background alone.",
    "LHCO R&D events, 8 features with m_jj among them; a random score as a check.",
    "It closes on every score that knows m_jj but the VAE's, which passes half of the time. Flattening in m_jj helps "
    "and does not suffice: {sculpting | VAE, flattened} % of the trials of the VAE and "
    "{sculpting | Isolation Forest, flattened} % of those of the Isolation Forest still close, and "
    "{sculpting | boosting, flattened} % of boosting's.",
    ("sculpting",),
    ("sculpting",),
    words={"flattened": "the score is made independent of m_jj in background, learned on events apart"},
)
STATISTICS = Section(
    "From scores to luminosities: what do the likelihood-ratio tests give?",
    "Luminosity at which two hypotheses are told apart at 3 and 5 sigma, by the tests of arXiv:2203.03669.",
    "The authors' own saved scores of pp -> Zh, and ZH -> llbb here, SM against SM + quadratic c_HW term; statistics "
    "alone.",
    "The shape of a score halves the luminosity that counting needs; Anomaly Awareness with 3,000 labels comes within "
    "1 % of the ceiling. Toys agree with the formulas.",
    ("significance_scores",),
    ("significance_scores_3", "significance_scores_5"),
    {"significance_scores": "Significance against luminosity."},
    {
        "simple": "both hypotheses are known, rate and shape (Neyman-Pearson)",
        "simple, symmetric": "at the cut where both are rejected with the same error",
        "simple, mean": "at the mean of the alternative, as an experiment would find it",
        "generalised": "the strength of the signal is unknown: median discovery significance",
        "counting alone": "one bin",
        "invariant": "inputs without azimuth",
    },
)
LUMINOSITY = Section(
    "ZH: what luminosity, when two generators disagree?",
    "Z and the luminosity for 3 and 5 sigma with the spread of two generators as an uncertainty of shape and rate.",
    "ZH -> llbb, SM of MadGraph and Pythia, the quadratic term of O_HW.",
    "Anomaly Awareness with 3,000 labels is as good as the ceiling. At c_HW = 0.3 TeV^-2 it needs "
    "{zh_luminosity | Anomaly-Aware VAE, 3,000 labels | fb^-1 for 3 sigma, c_HW = 0.3} fb^-1 for 3 sigma, "
    "{zh_luminosity | Anomaly-Aware VAE, 3,000 labels | fb^-1 for 5 sigma, c_HW = 0.3} for 5, and the VAE reaches "
    "neither within 10,000, for the spread does not shrink with luminosity.",
    ("zh_luminosity",),
    ("zh_luminosity",),
    {"zh_luminosity": "Expected significance against luminosity."},
)
SEARCHES = Section(
    "Searches without a signal model: what do they find, and what do they find where nothing is?",
    "Resonant searches with the sidebands as the only model of the background; no label is read.",
    "Dijets of four generators with a signal at S/sqrt(B) = 2.2; LHCO R&D events; background-only toys.",
    "The residual search finds W'(500, 100) in every draw (z = {search_dijets | W'(500, 100): residual search, 4 "
    "inputs | z at 0.003}); on background alone z is {search_background | residual search at 0.003 | mean z} in the "
    "mean. Semi-visible jets are seen best by all methods together, whose sum has {search_dijets | semi-visible "
    "jets: all methods, all inputs | of supervised} of the SIC of trees that know the labels: background that one "
    "takes for signal the others do not. W'(1000, 400), of which the sidebands hold as much as the window, is found "
    "by none. A scan in nine windows finds W'(500, 100) with a global p at the floor of its 60 toys, and none of "
    "500 toys of the one window is beyond it. CWoLa makes a bump out of dijets alone, because its inputs move with "
    "the mass; the check of the shape stops it there and passes it once flattened. A density of 14 inputs finds "
    "nothing.",
    ("search_*",),
    ("search_*",),
    {"search_scan": "p against the mass, with W'(500, 100) in 3.3 .. 3.7 TeV; the line bounds the global p."},
    words={
        "residual search": "a Gaussian component on top of the sidebands' density, by expectation maximisation",
        "CWoLa, CATHODE, ANODE": "published methods: classifier against the sidebands, against samples of their "
        "density, "
        'ratio of densities; "flattened": inputs made independent of the mass',
        "all methods": "sum of the logarithms of an event's tail fractions (Fisher)",
        "combined": "the look with the largest z in units of its spread in toys",
        "at 0.1, 0.01, 0.003": "cuts that keep this share of the sidebands",
        "idealised, mini": "a template of true background; a search in 3.3 .. 3.7 TeV with its own sidebands",
    },
)
TWO_SAMPLES = Section(
    "Any difference from the Standard Model: what do two samples say?",
    "Data against a reference, all inputs together, shapes alone, no signal model.",
    "ZH -> llbb with O_HW, interference included; reference of two generators.",
    "The kernel test reaches two thirds to four fifths of the Z of the exact likelihood ratio at c_HW = 1, more "
    "than trees, a flow, and Anomaly Awareness with labels do; at 3,000 events and c_HW = 1 it has Z = "
    "{zh_two_sample | 3,000 events, c_HW = 1 | kernel}, and {zh_two_sample_generators | 3,000 events, c_HW = 1 | "
    "kernel} where either generator may be the truth. Without a signal no method has a Z above 0.5 in the mean.",
    ("zh_two_sample",),
    ("zh_two_sample*",),
    {
        "zh_two_sample": "Where the difference sits, in 3,000 events with c_HW = 1.",
        "zh_two_sample_luminosity": "Z against luminosity for c_HW = 0.5, shapes alone; bands: spread of the draws.",
    },
    {
        "kernel": "the NPLM test of arXiv:2204.02317",
        "generators": "either generator may be the truth",
        "Anomaly Awareness": "20 bins of its score, 3,000 labels, in the same test",
        "exact": "the likelihood ratio of the squared amplitudes",
    },
    "O_HW, on 15,000 events apart.",
)
FOUNDATION = Section(
    "A small foundation model of jets: what is an encoder worth that was trained before there was a question?",
    "A network of particles is trained without labels on several generators, then asked five questions.",
    "Dijets of four generators for the pre-training; W' and semi-visible jets simulated here; Sherpa, which it "
    "has not seen.",
    "With 100 labels the embedding finds W'(500, 100) with {foundation_labels_w500 | linear probe | 100 labels} "
    "where the same network from scratch has {foundation_labels_w500 | from scratch | 100 labels}, and semi-visible "
    "jets with {foundation_labels_svj | linear probe | 100 labels} against {foundation_labels_svj | from scratch | 100 "
    "labels}; pre-trained by NT-Xent and SupCon together it has "
    "{foundation_probes | pre-trained by both | W'(500, 100), 100 labels} and "
    "{foundation_probes | pre-trained by both | semi-visible jets, 100 labels}. With 10,000 labels the linear "
    "probe is behind it, and the fine-tuned encoder a little ahead: "
    "{foundation_labels_w500 | fine-tuned | 10,000 labels} against {foundation_labels_w500 | from scratch | 10,000 "
    "labels}, and {foundation_labels_svj | fine-tuned | 10,000 labels} against {foundation_labels_svj | from scratch | "
    "10,000 labels}. Fourteen features made by hand are better from 30 labels on: of 100, "
    "boosted trees make {foundation_labels_w500 | 14 features, boosting | 100 labels} and {foundation_labels_svj | 14 "
    "features, boosting | 100 labels}. Without labels the embedding is worse than a mixture on the features, and "
    "it is no more robust against a generator that it has not seen. A small transformer, pre-trained for fewer epochs, "
    "loses for W', {foundation_encoders | transformer, linear probe | W'(500, 100)} where it has "
    "{foundation_encoders | transformer, from scratch | W'(500, 100)} from scratch, and gains little for semi-visible "
    "jets, "
    "{foundation_encoders | transformer, linear probe | semi-visible jets} against {foundation_encoders | transformer, "
    "from scratch | semi-visible jets}.",
    ("foundation",),
    ("foundation*",),
    {"foundation": "AUC against the number of labels, half of them signal; bands are the spread of five seeds."},
    {
        "linear probe": "logistic regression on the output of the encoder, whose weights stay",
        "fine-tuned, from scratch": "the whole network learns the labels, pre-trained or from random weights",
        "NT-Xent, SupCon, both": "pre-training that brings together two views of a jet, or the jets of a generator",
        "DeepSets": "sums over the outputs of one network for every particle; the encoder where no other is named",
        "transformer": "attention among all particles of both jets, pre-trained for 6 epochs where DeepSets has 25",
    },
    "Nine forms of the pre-training were tried with the W' and semi-visible jets of the data pack and 100 labels "
    "in view, all of DeepSets; nothing was tuned for the transformer.",
)
SECTIONS = (
    IMAGES, TRAFFIC, REGION, ZH, VBF, UNSEEN, SIC, NO_LABELS, BEAD_MAP, BEAD_SCORES, BEAD_GENERATORS,
    BEAD_INPUTS, ANORAND_LABELS, ANORAND_SCANS, ANORAND_PEERS,
    ANORAND_IMAGES, ANORAND_SYNTHETIC, GENERATORS, SCULPTING, STATISTICS, LUMINOSITY, SEARCHES, TWO_SAMPLES, FOUNDATION,
)  # fmt: skip

CLAIMS = (
    Claim(
        "Photographs among digits, AUC with labels of clothes",
        IMAGES.question,
        "0.9997",
        "{aa_images | Anomaly-Aware VAE, 10,000 labels}",
    ),
    Claim(
        "Denial of service, AUC with labels of brute force",
        TRAFFIC.question,
        "0.79",
        "{aa_cicids | Anomaly-Aware VAE, 4,622 labels}",
    ),
    Claim(
        "LHC Olympics W', AUC with labels (published: 14 features, all masses)",
        REGION.question,
        "0.90",
        "{aa_lhco | Anomaly-Aware ensemble, 6,000 labels}",
        "{aa_lhco | boosting, 20,000 labels (ceiling)}",
    ),
    Claim(
        "LHC Olympics W', AUC with 100 labels",
        REGION.question,
        "",
        "{aa_lhco | Anomaly-Aware ensemble, 100 labels}",
        "{aa_lhco | boosting, 20,000 labels (ceiling)}",
    ),
    Claim(
        "ZH against O_HW, AUC with 3,000 labels",
        ZH.question,
        "0.71",
        "{aa_zh | Anomaly-Aware ensemble, inputs without azimuth, 3,000 labels}",
        "{aa_zh | boosting, all labels (ceiling)}",
    ),
    Claim(
        "Semi-visible jets, tuned on W' as published: AUC",
        UNSEEN.question,
        "",
        "{aa_dijets_svj | AA 16-2, 14 inputs, tuned on W'(500, 100)}; untuned "
        "{aa_dijets_svj | VAE 16-2, 14 inputs, untuned}",
    ),
    Claim(
        "Semi-visible jets, tuned on W', joined with a density without them in view: AUC",
        UNSEEN.question,
        "",
        "{aa_dijets_svj | AA or density, join chosen without the tested signal, tuned on W'(500, 100)}",
        "{aa_dijets_svj | AA, tuned on semi-visible jets}",
    ),
    Claim(
        "LHC Olympics W', maximal SIC with 1,000 labels",
        SIC.question,
        "",
        "{lhco_sic | Anomaly-Aware ensemble, logarithm of the error, 1,000 labels}",
        "{lhco_sic | boosting, 20,000 labels (ceiling)}",
    ),
    Claim(
        "Enriched background with SupCon, median AUC (published: a log of BEAD's, other signals and network)",
        BEAD_MAP.question,
        "0.70",
        "{bead_map | 64 hidden, 8 latent, Gaussian | SupCon}; without "
        "{bead_map | 64 hidden, 8 latent, Gaussian | none}",
    ),
    Claim(
        "AnoRand with labels, mean AUC-PR in %",
        ANORAND_LABELS.question,
        "{anorand_adbench | mean | published}",
        "{anorand_adbench | mean | here}",
    ),
    Claim(
        "AnoRand without labels, mean rank of 17 by AUC-PR",
        ANORAND_PEERS.question,
        "",
        "{anorand_peers | AnoRand | mean rank by AUC-PR}",
    ),
    Claim(
        "W'(500, 100) in 85,000 dijets at S/sqrt(B) = 2.2, no signal model: z",
        SEARCHES.question,
        "",
        "{search_dijets | W'(500, 100): residual search, 4 inputs | z at 0.003}",
    ),
    Claim(
        "LHC Olympics W', idealised search, maximal SIC",
        SEARCHES.question,
        "15.08",
        "{search_lhco | idealised, residual search | max SIC}",
        "{search_lhco | supervised trees, 20,000 labels (ceiling) | max SIC}",
    ),
    Claim(
        "O_HW at c_HW = 1 in 1,000 ZH events, shapes alone, no signal model: Z",
        TWO_SAMPLES.question,
        "",
        "{zh_two_sample | 1,000 events, c_HW = 1 | kernel}",
        "{zh_two_sample | 1,000 events, c_HW = 1 | exact}",
    ),
    Claim(
        "W'(500, 100) from particles, AUC with 100 labels, by an encoder pre-trained on background",
        FOUNDATION.question,
        "",
        "{foundation_labels_w500 | linear probe | 100 labels}; from scratch "
        "{foundation_labels_w500 | from scratch | 100 labels}; 14 features "
        "{foundation_labels_w500 | 14 features, boosting | 100 labels}",
    ),
)
