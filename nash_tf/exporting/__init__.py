"""Export of a model in several formats, each checked and measured by its own runtime, with a model card and a script that predicts."""
