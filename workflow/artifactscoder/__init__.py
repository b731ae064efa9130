"""ArtifactsCoder: from seed categories to a front-end code model, one step a module."""
