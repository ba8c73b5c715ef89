"""A GGUF file becomes a checkpoint that training starts from, and is compared with llama.cpp."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agentracer.errors import TrainingError
from training import base

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")
np = pytest.importorskip("numpy")
tokenizers = pytest.importorskip("tokenizers")

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WIDTH, HEADS, LAYERS, INNER = 32, 4, 2, 64


def write_gguf(path, *, template=TEMPLATE):
    """A tiny Qwen2 of random weights; its tokens are bytes, one pair of bytes, special ones."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "ab", *SPECIAL]
    kinds = [gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL] * len(SPECIAL)
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    if template:
        writer.add_chat_template(template)
    random = np.random.default_rng(0)

    def tensor(name, *shape):
        writer.add_tensor(name, random.normal(0, 0.3, shape).astype(np.float32))

    tensor("token_embd.weight", len(tokens), WIDTH)
    tensor("output.weight", len(tokens), WIDTH)
    tensor("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for part in "qkv":
            tensor(f"{block}.attn_{part}.weight", WIDTH, WIDTH)
            tensor(f"{block}.attn_{part}.bias", WIDTH)
        tensor(f"{block}.attn_output.weight", WIDTH, WIDTH)
        tensor(f"{block}.ffn_gate.weight", INNER, WIDTH)
        tensor(f"{block}.ffn_up.weight", INNER, WIDTH)
        tensor(f"{block}.ffn_down.weight", WIDTH, INNER)
        tensor(f"{block}.attn_norm.weight", WIDTH)
        tensor(f"{block}.ffn_norm.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    base.convert(write_gguf(folder / "tiny.gguf"), folder / "checkpoint")
    return folder / "checkpoint"


@contextmanager
def llama_cpp(folder, *, change=lambda path, answer: answer):
    """A server that answers as llama.cpp does, from a checkpoint; `change` falsifies answers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)

    def answer(path, body):
        if path == "/apply-template":
            options = {"tokenize": False, "add_generation_prompt": True}
            return {"prompt": tokenizer.apply_chat_template(body["messages"], **options)}
        if path == "/tokenize":
            return {"tokens": tokenizer(body["content"], add_special_tokens=False)["input_ids"]}
        ids = torch.tensor([body["prompt"]])
        out = model.generate(ids, max_new_tokens=body["n_predict"], do_sample=False)
        return {"tokens": out[0, ids.shape[1] :].tolist()}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            data = json.dumps(change(self.path, answer(self.path, body))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_the_checkpoint_has_weights_tokenizer_and_chat_template(checkpoint):
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(checkpoint))
    model = transformers.AutoModelForCausalLM.from_pretrained(str(checkpoint))
    assert "quantization_config" not in json.loads((checkpoint / "config.json").read_text())
    assert model.config.num_hidden_layers == LAYERS
    messages = [{"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_a_server_with_the_same_weights_agrees_and_one_with_others_does_not(checkpoint):
    with llama_cpp(checkpoint) as server:
        same = base.compare(checkpoint, f"{server}/v1", base.prompts(2))
    assert same.holds
    assert same.same_next == same.positions > 0

    def other(path, answer):
        return {"tokens": [t ^ 1 for t in answer["tokens"]]} if path == "/completion" else answer

    with llama_cpp(checkpoint, change=other) as server:
        different = base.compare(checkpoint, server, base.prompts(2))
    assert (different.same_format, different.same_tokens) == (2, 2)
    assert not different.holds


@pytest.mark.parametrize("template", ["", None])
def test_a_model_without_chat_template_is_refused(tmp_path, template):
    source = write_gguf(tmp_path / "tiny.gguf", template=template)
    with pytest.raises(TrainingError, match="no chat template"):
        base.convert(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_what_cannot_be_converted_is_named_and_nothing_is_written(tmp_path, checkpoint):
    with pytest.raises(TrainingError, match="no such file"):
        base.convert(tmp_path / "none.gguf", tmp_path / "out")
    (tmp_path / "bad.gguf").write_bytes(b"not a model")
    with pytest.raises(TrainingError, match="cannot read it"):
        base.convert(tmp_path / "bad.gguf", tmp_path / "out")
    with pytest.raises(TrainingError, match="exists already"):
        base.convert(checkpoint.parent / "tiny.gguf", checkpoint)
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert base.main([str(tmp_path / "none.gguf"), "--out", str(tmp_path / "out")]) == 2
    assert "none.gguf" in capsys.readouterr().err
