"""Networks, loss terms and the one training loop behind every neural detector.

All families are imported here, so that `base.DETECTORS` is complete wherever a detector is named.
"""

# ruff: noqa: F401
import hepaa.models.anorand.anorand
import hepaa.models.combined.ensemble
import hepaa.models.combined.pseudo_labelled
import hepaa.models.combined.relevant_density
import hepaa.models.combined.trees
import hepaa.models.density.anomaly_aware
import hepaa.models.density.conditional_flow
import hepaa.models.density.flow
import hepaa.models.density.mixture
import hepaa.models.embedding.classifier
import hepaa.models.embedding.encoder
import hepaa.models.peers.baselines
import hepaa.models.peers.outliers
import hepaa.models.vae.anomaly_aware
import hepaa.models.vae.contrastive
import hepaa.models.vae.vae
