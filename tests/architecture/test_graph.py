"""The architecture as data: JSON, digest, counts and signs, against values worked out by hand."""

import json
from dataclasses import replace

import pytest

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.vanilla import vanilla


@pytest.fixture
def parent():
    return vanilla((32, 32, 3), 10, (16, 32, 64))


@pytest.fixture
def diamond():
    """image -> relu_1 -> (neg, relu_2) -> both -> pool, with an unlisted layer on the side."""
    image = Node("image", "InputLayer", {}, (), (8, 8, 4))
    architecture, nodes = Architecture((image,), ("image",)), [image]

    def add(name, kind, config, *inputs):
        by_name = {node.name: node for node in nodes}
        nodes.append(architecture.make(name, kind, config, [by_name[taken] for taken in inputs]))

    add("relu_1", "ReLU", {}, "image")
    add("neg", "BatchNormalization", {}, "relu_1")
    add("relu_2", "ReLU", {}, "neg")
    add("mixed", "Concatenate", {}, "neg", "relu_2")
    add("both", "Concatenate", {}, "relu_1", "relu_2")
    add("max", "MaxPooling2D", {}, "both")
    nodes.append(Node("unlisted", "mine>Layer", {"a": 1}, ("max", "both"), (7,), {"w": (2, 3)}))
    return Architecture(tuple(nodes), ("max", "mixed", "unlisted"))


class TestJson:
    def test_round_trip(self, parent, diamond):
        for architecture in (parent, diamond):
            back = Architecture.from_json(architecture.to_json())
            assert back == architecture
            assert back.to_json() == architecture.to_json()
            assert back.digest == architecture.digest

    def test_open_sizes_come_back(self):
        architecture = vanilla((None, None, 3), 10, (4, 8))
        assert Architecture.from_json(architecture.to_json()) == architecture
        assert architecture["relu_2"].shape == (None, None, 8)

    def test_the_readable_form_is_the_same_architecture(self, parent):
        text = parent.to_json(indent=2)
        assert text.count("\n") > len(parent.nodes)
        assert Architecture.from_json(text) == parent

    def test_the_order_of_keys_does_not_matter(self, parent):
        def backwards(plain):
            if isinstance(plain, dict):
                return {key: backwards(plain[key]) for key in reversed(plain)}
            return [backwards(value) for value in plain] if isinstance(plain, list) else plain

        text = json.dumps(backwards(json.loads(parent.to_json())))
        assert text != parent.to_json()
        assert Architecture.from_json(text).to_json() == parent.to_json()


NODE = {"name": "a", "kind": "InputLayer", "inputs": [], "shape": [4]}
NO_ARCHITECTURES = {
    "text": ("architecture", "Expecting value"),
    "deep": ("[" * 100_000, "recursion"),
    "list": ([], "'nodes'"),
    "nodes": ({"nodes": 3, "outputs": []}, "'nodes' to be a list, received 3"),
    "node": ({"nodes": [3], "outputs": ["a"]}, "object with 'name', received 3"),
    "name": ({"nodes": [NODE | {"name": 3}], "outputs": ["a"]}, "'name' to be a str, received 3"),
    "kind": ({"nodes": [NODE | {"kind": None}], "outputs": ["a"]}, "node 'a': expected 'kind' to be a str"),
    "config": ({"nodes": [NODE | {"config": [1]}], "outputs": ["a"]}, "node 'a': expected 'config' to be a mapping"),
    "inputs": ({"nodes": [NODE | {"inputs": [[]]}], "outputs": ["a"]}, "'inputs' to be names"),
    "shape": ({"nodes": [NODE | {"shape": [-4]}], "outputs": ["a"]}, "node 'a': shape: expected a list of sizes"),
    "size": ({"nodes": [NODE | {"shape": [True]}], "outputs": ["a"]}, "expected a list of sizes"),
    "weight": (
        {"nodes": [NODE | {"weights": {"w": [None]}}], "outputs": ["a"]},
        "weights 'w': expected a list of sizes",
    ),
    "weights": ({"nodes": [NODE | {"weights": [3]}], "outputs": ["a"]}, "'weights' to be a mapping"),
    "outputs": ({"nodes": [NODE], "outputs": "a"}, "'outputs' to be a list"),
    "structure": ({"nodes": [NODE], "outputs": ["a"], "structure": {"outputs": {"x": ["b"]}}}, "received 'b'"),
    "a known kind's config": (
        {
            "nodes": [NODE | {"shape": [8, 8, 3]}, NODE | {"name": "c", "kind": "Conv2D", "inputs": ["a"]}],
            "outputs": ["c"],
        },
        r"node 'c' \(Conv2D\) has a config that does not fit its kind: KeyError\('filters'\)",
    ),
}


@pytest.mark.parametrize("case", NO_ARCHITECTURES)
def test_what_is_no_architecture_is_refused_in_a_line(case):
    plain, reason = NO_ARCHITECTURES[case]
    with pytest.raises(ValueError, match=f"no architecture: .*{reason}") as raised:
        Architecture.from_json(plain if isinstance(plain, str) else json.dumps(plain))
    assert "\n" not in str(raised.value)


class TestDigest:
    def test_stable(self, parent):
        assert parent.digest == vanilla((32, 32, 3), 10, (16, 32, 64)).digest
        assert len(parent.digest) == 64

    @pytest.mark.parametrize(
        "other",
        [
            vanilla((32, 32, 1), 10, (16, 32, 64)),
            vanilla((28, 32, 3), 10, (16, 32, 64)),
            vanilla((32, 32, 3), 11, (16, 32, 64)),
            vanilla((32, 32, 3), 10, (16, 32, 65)),
            vanilla((32, 32, 3), 10, (16, 32)),
        ],
    )
    def test_sensitive_to_what_is_built(self, parent, other):
        assert other.digest != parent.digest

    def test_sensitive_to_each_field(self, parent):
        bn = replace(parent["bn_1"], config={"momentum": 0.8})
        relu = replace(parent["relu_1"], kind="Activation", config={"activation": "relu"})
        digests = {parent.digest, parent.edited([bn]).digest, parent.edited([relu]).digest}
        digests.add(Architecture(parent.nodes, ("relu_3",)).digest)
        digests.add(Architecture((replace(parent.nodes[0], shape=(32, 32, 3)), *parent.nodes[1:]), ("logits",)).digest)
        assert len(digests) == 4  # the last of them is the parent again


class TestCounts:
    def test_vanilla(self, parent):
        kernels = 3 * 3 * (3 * 16 + 16 * 32 + 32 * 64)
        norms = 2 * (16 + 32 + 64)
        assert parent.params == kernels + norms + 64 * 10 + 10 == 24346

    def test_shapes(self, parent):
        assert parent["relu_1"].shape == (32, 32, 16)
        assert parent["pool_1"].shape == (16, 16, 16)
        assert parent["relu_3"].shape == (8, 8, 64)
        assert parent["pool"].shape == (64,)
        assert parent["logits"].shape == (10,)
        assert parent["conv_2"].weights == {"kernel": (3, 3, 16, 32)}
        assert parent["bn_2"].statistics == {"moving_mean": (32,), "moving_variance": (32,)}

    @pytest.mark.parametrize(
        ("kind", "config", "shape", "params"),
        [
            (
                "Conv2D",
                {"filters": 5, "kernel_size": [3, 5], "padding": "same", "strides": 2},
                (4, 5, 5),
                3 * 5 * 4 * 5 + 5,
            ),
            ("Conv2D", {"filters": 5, "kernel_size": [3, 3], "dilation_rate": 2}, (3, 5, 5), 9 * 4 * 5 + 5),
            ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "use_bias": False}, (5, 7, 5), 9 * 4 + 4 * 5),
            ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, (5, 7, 8), 9 * 4 * 2 + 8),
            ("BatchNormalization", {"scale": False}, (7, 9, 4), 4),
            ("MaxPooling2D", {}, (3, 4, 4), 0),
            ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (4, 5, 4), 0),
            ("GlobalMaxPooling2D", {"keepdims": True}, (1, 1, 4), 0),
            ("Flatten", {}, (252,), 0),
            ("Dense", {"units": 3}, (7, 9, 3), 4 * 3 + 3),
            ("nash_tf>ConvexMerge", {}, (7, 9, 4), 1),
        ],
    )
    def test_kinds(self, kind, config, shape, params):
        image = Node("image", "InputLayer", {}, (), (7, 9, 4))
        architecture = Architecture((image,), ("image",))
        taken = [image, image] if kind == "nash_tf>ConvexMerge" else [image]
        node = architecture.make("new", kind, config, taken)
        assert node.shape == shape
        assert Architecture((image, node), ("new",)).params == params

    def test_an_unlisted_kind_counts_what_it_states(self, diamond):
        assert diamond.params == 2 * 4 + 2 * 3


class TestErrors:
    def test_names_are_unique(self, parent):
        with pytest.raises(ValueError, match="unique"):
            Architecture((*parent.nodes, parent["relu_1"]), parent.outputs)

    def test_order(self, parent):
        with pytest.raises(ValueError, match="before its inputs"):
            Architecture(parent.nodes[::-1], parent.outputs)

    @pytest.mark.parametrize("outputs", [(), ("nothing",), ("logits", "nothing")])
    def test_outputs(self, parent, outputs):
        with pytest.raises(ValueError, match="outputs"):
            Architecture(parent.nodes, outputs)

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("conv_2", {"shape": (16, 16, 33)}),
            ("conv_2", {"weights": {"kernel": (3, 3, 17, 32)}}),
            ("conv_2", {"weights": {}}),
            ("bn_2", {"statistics": {}}),
            ("pool_1", {"shape": (32, 32, 16)}),
        ],
    )
    def test_what_a_node_states_follows_from_its_inputs(self, parent, name, field):
        with pytest.raises(ValueError, match=name):
            parent.edited([replace(parent[name], **field)])

    def test_make_needs_a_known_kind(self, parent):
        with pytest.raises(ValueError, match="mine>Layer"):
            parent.make("new", "mine>Layer", {}, [parent["relu_1"]])

    def test_an_absent_name(self, parent):
        assert "nothing" not in parent
        with pytest.raises(KeyError):
            parent["nothing"]


class TestEdited:
    def test_the_parent_is_left_as_it_is(self, parent):
        before = parent.to_json()
        new = parent.make("relu_9", "ReLU", {}, [parent["relu_2"]])
        child = parent.edited([replace(parent["pool_2"], inputs=("relu_9",))], [new])
        assert parent.to_json() == before
        assert "relu_9" in child and "relu_9" not in parent
        assert child.digest != parent.digest

    def test_new_nodes_follow_the_last_of_their_inputs(self, parent):
        one = parent.make("relu_9", "ReLU", {}, [parent["relu_2"]])
        two = parent.make("concat_9", "Concatenate", {}, [one, parent["bn_2"]])
        names = [node.name for node in parent.edited([], [one, two]).nodes]
        at = names.index("relu_2")
        assert names[at : at + 4] == ["relu_2", "relu_9", "concat_9", "pool_2"]

    def test_the_policy_of_what_is_new_is_that_of_its_first_input(self):
        image = Node("image", "InputLayer", {"dtype": "uint8"}, (), (4, 4, 2))
        half = Node("half", "Activation", {"activation": "relu", "dtype": "mixed_float16"}, ("image",), (4, 4, 2))
        full = Node("full", "Activation", {"activation": "relu"}, ("half",), (4, 4, 2))
        squared = Node("squared", "keras.ops>Square", {}, ("half",), (4, 4, 2))
        cast = Node("cast", "keras.ops>Cast", {"dtype": "bfloat16"}, ("full",), (4, 4, 2))
        network = Architecture((image, half, full, squared, cast), ("squared", "cast"))

        def policy(*names):
            return network.make("new", "Add", {}, [network[name] for name in names]).config.get("dtype", "float32")

        assert policy("full", "half") == policy("image", "full") == policy("image", "image") == "float32"
        assert policy("half", "full") == policy("image", "half") == policy("squared", "full") == "mixed_float16"
        assert policy("cast", "half") == "mixed_bfloat16"

    def test_nothing_to_edit(self, parent):
        assert parent.edited() == parent

    def test_unused_number(self, parent):
        assert parent.unused_number() == 4
        new = parent.make("relu_41", "ReLU", {}, [parent["relu_2"]])
        assert parent.edited([], [new]).unused_number() == 42


class TestGraph:
    def test_nonnegative(self, parent, diamond):
        assert parent.nonnegative == {"relu_1", "pool_1", "relu_2", "pool_2", "relu_3", "pool"}
        assert diamond.nonnegative == {"relu_1", "relu_2", "both", "max"}

    @pytest.mark.parametrize(
        ("kind", "config", "expected"),
        [
            ("ReLU", {}, True),
            ("ReLU", {"max_value": 6.0}, True),
            ("ReLU", {"negative_slope": 0.1}, False),
            ("ReLU", {"threshold": -1.0}, False),
            ("Activation", {"activation": "relu"}, True),
            ("Activation", {"activation": "tanh"}, False),
            ("Conv2D", {"filters": 2, "kernel_size": 1, "activation": "relu"}, True),
            ("Conv2D", {"filters": 2, "kernel_size": 1}, False),
            ("MaxPooling2D", {}, False),
        ],
    )
    def test_signs_behind_an_input_of_either_sign(self, kind, config, expected):
        image = Node("image", "InputLayer", {}, (), (4, 4, 2))
        node = Architecture((image,), ("image",)).make("new", kind, config, [image])
        assert ("new" in Architecture((image, node), ("new",)).nonnegative) is expected

    def test_a_merge_is_nonnegative_where_both_are(self):
        image = Node("image", "InputLayer", {}, (), (4, 4, 2))
        alone = Architecture((image,), ("image",))
        relu = alone.make("relu", "ReLU", {}, [image])
        good = alone.make("good", "nash_tf>ConvexMerge", {}, [relu, relu])
        bad = alone.make("bad", "Add", {}, [relu, image])
        assert Architecture((image, relu, good, bad), ("good", "bad")).nonnegative == {"relu", "good"}

    def test_ancestors(self, parent, diamond):
        names = [node.name for node in parent.nodes]
        for place, name in enumerate(names):
            assert parent.ancestors[name] == set(names[:place])
        assert diamond.ancestors["relu_2"] == {"image", "relu_1", "neg"}
        assert diamond.ancestors["both"] == {"image", "relu_1", "neg", "relu_2"}
        assert "mixed" not in diamond.ancestors["unlisted"]

    def test_consumers(self, diamond):
        assert diamond.consumers["relu_2"] == ("mixed", "both")
        assert diamond.consumers["both"] == ("max", "unlisted")
        assert diamond.consumers["mixed"] == ()

    def test_inputs(self, parent):
        assert parent.inputs == ("image",)
        assert parent.input_shapes(parent["conv_2"]) == [(16, 16, 16)]
