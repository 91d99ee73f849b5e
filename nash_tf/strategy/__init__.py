"""The search without an engine: no Keras, no TensorFlow, no Keras Tuner, no disk.

`ask_tell.Search` is the whole of it: it gives the trainings that can be done now and takes what came of them. Its state is a pure
function of the settings, the seed and the outcomes.
"""
