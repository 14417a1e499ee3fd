"""Tiny checkpoints with random weights, as transformers saves them; importing it imports torch."""

import io
import json
from pathlib import Path

import torch
import transformers
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = (
    "Ada Lovelace lived in London and wrote programs for a machine. "
    "The shop in Rome closes at six in the evening, and refunds take ten days. "
    "translate English to French: summarize: this example is about sport or food."
)
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def _tokenizer(specials, template=None, **names):
    trained = Tokenizer(models.WordPiece(unk_token=names["unk_token"]))
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=specials)
    trained.train_from_iterator([TEXT] * 3, trainer)
    if template:
        first, last = template
        ids = [(token, trained.token_to_id(token)) for token in dict.fromkeys(template) if token]
        head = f"{first} " if first else ""
        trained.post_processor = processors.TemplateProcessing(
            single=f"{head}$A {last}", pair=f"{head}$A {last} $B:1 {last}:1", special_tokens=ids
        )
    return PreTrainedTokenizerFast(tokenizer_object=trained, model_max_length=64, **names)


def _bert():
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    names |= {"sep_token": "[SEP]", "mask_token": "[MASK]"}
    return _tokenizer([*names.values()], ("[CLS]", "[SEP]"), **names)


def _bart():
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>"}
    names |= {"unk_token": "<unk>", "mask_token": "<mask>"}
    return _tokenizer([*names.values()], ("<s>", "</s>"), **names)


def _t5():
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return _tokenizer([*names.values()], (None, "</s>"), **names)


def _gpt():
    names = {"eos_token": "<|end|>", "unk_token": "<|unknown|>"}
    return _tokenizer([*names.values()], **names)


def _distilbert(tokenizer, **more):
    return transformers.DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, hidden_dim=64, n_layers=2, n_heads=2,
        max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id, **more,
    )  # fmt: skip


def _bart_config(tokenizer, **more):
    return transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
        decoder_ffn_dim=64, max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id, **more,
    )  # fmt: skip


def _labels(*names):
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def _writers(bart, t5, gpt):
    config = transformers.GPT2Config(
        vocab_size=len(gpt), n_positions=64, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=gpt.eos_token_id, eos_token_id=gpt.eos_token_id,
    )  # fmt: skip
    yield "gpt", transformers.GPT2LMHeadModel(config), gpt
    config = transformers.LlamaConfig(
        vocab_size=len(gpt), intermediate_size=64, num_key_value_heads=2,
        max_position_embeddings=64, eos_token_id=None, bos_token_id=None, **SMALL,
    )  # fmt: skip
    yield "org/llama", transformers.LlamaForCausalLM(config), gpt
    yield "bart", transformers.BartForConditionalGeneration(_bart_config(bart)), bart
    config = transformers.T5Config(
        vocab_size=len(t5), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
        pad_token_id=t5.pad_token_id, eos_token_id=t5.eos_token_id,
        decoder_start_token_id=t5.pad_token_id,
    )  # fmt: skip
    yield "t5", transformers.T5ForConditionalGeneration(config), t5


def _translators(root):
    letters = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz."]
    many = transformers.NllbTokenizer(
        vocab={letter: number for number, letter in enumerate(letters)}, merges=[],
        src_lang="eng_Latn", model_max_length=64,
    )  # fmt: skip
    shape = {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": 64,
    }  # fmt: skip
    config = transformers.M2M100Config(vocab_size=len(many), **shape)
    yield "many", transformers.M2M100ForConditionalGeneration(config), many
    pieces = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT] * 50), model_writer=pieces, vocab_size=60, minloglevel=2
    )
    (root / "spm").mkdir(parents=True)
    (root / "spm/both.spm").write_bytes(pieces.getvalue())
    known = SentencePieceProcessor(model_proto=pieces.getvalue())
    words = [known.id_to_piece(number) for number in range(known.get_piece_size())]
    vocabulary = {
        word: number for number, word in enumerate([*words, "<pad>", ">>fra<<", ">>deu<<"])
    }
    (root / "spm/vocab.json").write_text(json.dumps(vocabulary))
    for name, target in (("pair", "de"), ("group", "gmw")):
        marian = transformers.MarianTokenizer(
            str(root / "spm/both.spm"), str(root / "spm/both.spm"), str(root / "spm/vocab.json"),
            source_lang="en", target_lang=target, model_max_length=64,
        )  # fmt: skip
        ends = {"eos_token_id": marian.eos_token_id, "pad_token_id": marian.pad_token_id}
        config = transformers.MarianConfig(
            vocab_size=len(vocabulary), decoder_start_token_id=marian.pad_token_id,
            forced_eos_token_id=None, **ends, **shape,
        )  # fmt: skip
        yield name, transformers.MarianMTModel(config), marian


def _readers(bert, bart):
    mood = _distilbert(bert, **_labels("NEGATIVE", "POSITIVE"))
    yield "mood", transformers.DistilBertForSequenceClassification(mood), bert
    names = _distilbert(bert, **_labels("O", "B-PER", "I-PER", "B-LOC"))
    yield "names", transformers.DistilBertForTokenClassification(names), bert
    yield "mask", transformers.DistilBertForMaskedLM(_distilbert(bert)), bert
    yield "answers", transformers.DistilBertForQuestionAnswering(_distilbert(bert)), bert
    inference = _bart_config(bart, **_labels("contradiction", "neutral", "entailment"))
    yield "inference", transformers.BartForSequenceClassification(inference), bart
    config = transformers.BertConfig(
        vocab_size=len(bert), intermediate_size=64, max_position_embeddings=64, **SMALL
    )
    yield "sentences", transformers.BertModel(config), bert


def build(root: Path) -> Path:
    """Write one model for each kind of task, and some that must be refused."""
    torch.manual_seed(7)
    bert, bart, t5, gpt = _bert(), _bart(), _t5(), _gpt()
    made = (*_writers(bart, t5, gpt), *_translators(root), *_readers(bert, bart))
    for name, model, tokenizer in made:
        model.eval().save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    _refused(root, bert)
    return root


def _refused(root, tokenizer):
    config = _distilbert(tokenizer)
    for name in ("pickled", "coded"):
        tokenizer.save_pretrained(root / name)
        config.save_pretrained(root / name)
    model = transformers.DistilBertForMaskedLM(config)
    torch.save(model.state_dict(), root / "pickled/pytorch_model.bin")
    model.save_pretrained(root / "coded")
    told = json.loads((root / "coded/config.json").read_text())
    told |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (root / "coded/config.json").write_text(json.dumps(told))
    trap = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass Config: pass\n"
    (root / "coded/own.py").write_text(trap)
