"""Networks: what maps events to latent values and back, as functions of a flat vector of parameters."""
