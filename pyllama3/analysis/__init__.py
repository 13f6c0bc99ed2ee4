"""What is measured, compared and explained; nothing here is needed to run a model."""
