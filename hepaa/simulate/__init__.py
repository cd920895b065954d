"""Simulation: events from Pythia 8 (the extra `simulate`), a detector, and the O_HW vertex for parton-level ZH events.

`processes` holds dijets, W' and semi-visible jets as settings of Pythia, and tunes by name; `pythia` drives Pythia;
`detector` is a parametric detector in compiled code, by name; `zh` holds the tree-level helicity amplitudes of
q qbar -> Z*/gamma* -> Z h -> l+ l- h with the dimension-6 operator O_HW, and `weights` what follows from them;
`writers` and `hepmc` write LHE, LHCO, ROOT and HepMC3 files. `tasks` and `production` make samples of any size in
blocks, through the batch engine (`hepaa simulate`). `python -m hepaa.simulate.make_demo` makes the embedded samples.
"""
