"""Variational autoencoders: plain, anomaly aware, contrastive."""
