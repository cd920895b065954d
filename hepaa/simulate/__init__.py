"""Simulation: events from real generators, and the O_HW vertex for parton-level ZH events.

`zh` holds the tree-level helicity amplitudes of q qbar -> Z*/gamma* -> Z h -> l+ l- h with the dimension-6
operator O_HW, `pythia` drives Pythia 8 (the extra `simulate`), `detector` is a short parametric detector, `writers`
writes LHE, LHCO and ROOT files, and `python -m hepaa.simulate.make_demo` makes the embedded samples with them.
"""
