"""Training one network on n images: augmentation, budget, loop, scores."""
