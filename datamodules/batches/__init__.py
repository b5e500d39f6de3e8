"""From images to batches: splits, loaders, samplers."""
