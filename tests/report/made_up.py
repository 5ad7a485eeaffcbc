"""A finished run, made up: every report that the release report reads."""

import json
from pathlib import Path

import yaml

NAMES = ("lora-fp32", "lora-int8", "base-int8", "half-int8", "small-int8", "tiny-int4", "tfidf")


def write_run(root: Path, verdict: str = "pass") -> None:
    """Write reports, lineage and params.yaml of a run below `root`."""
    for name in NAMES:
        _write(root / f"data/evaluate/{name}/report.json", evaluation(name))
    _write(root / "data/gate/report.json", gate(verdict))
    _write(root / "data/prepared/report.json", PREPARED)
    for stage, variant, parent in LINEAGE:
        folder = root / "models" / stage / variant
        _write(folder / "candidate.json", lineage(stage, variant, parent))
        if stage != "fetch":
            _write(folder / "report.json", REPORTS[stage])
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False))


def evaluation(name: str) -> dict[str, object]:
    """report.json of the evaluate stage."""
    quality, cost, rate, p95, size = FIGURES[name]
    half = 1.96 * (quality * (1 - quality) / 600) ** 0.5
    return {
        "name": name,
        "candidate": None if name == "tfidf" else f"quantize/{name}",
        "engine": "sklearn" if name == "tfidf" else "openvino",
        "role": {"lora-fp32": "teacher", "tfidf": "baseline", "base-int8": "baseline"}.get(
            name, "candidate"
        ),
        "quality": {
            "metric": "accuracy",
            "n": 600,
            "value": quality,
            "low": quality - half,
            "high": quality + half,
            "confidence": 0.95,
        },
        "performance": {
            "concurrency": 16,
            "repeats": 3,
            "requests": 600,
            "requests_per_second": {"value": rate, "low": rate * 0.93, "high": rate * 1.07},
            "latency_ms": {"p50": p95 * 0.7, "p95": p95},
            "prompt_tokens_per_second": rate * 40,
            "peak_memory_mb": size * 1.7 + 200,
            "load_seconds": 1.25,
        },
        "cost": {
            "currency": "USD",
            "price_per_hour": 0.08,
            "per_1000_requests": {"value": cost, "low": cost * 0.93, "high": cost * 1.08},
        },
        "size_mb": size,
        "model_hash": f"{abs(hash(name)) % 10**8:08d}" * 8,
        "hardware": {"cpu": "Xeon <8481C> & co", "cores": 2, "memory_gb": 7.8},
    }


FIGURES = {
    "lora-fp32": (0.92, 0.0102, 2.2, 7300.0, 540.4),
    "lora-int8": (0.918, 0.00342, 6.5, 2460.0, 138.1),
    "base-int8": (0.84, 0.00345, 6.4, 2480.0, 138.1),
    "half-int8": (0.905, 0.00151, 14.7, 1088.0, 87.3),
    "small-int8": (0.901, 0.00118, 18.9, 847.0, 71.9),
    "tiny-int4": (0.861, 0.00097, 22.9, 699.0, 52.6),
    "tfidf": (0.83, 0.0000042, 5291.0, 1.9, 3.1),
}


def gate(verdict: str) -> dict[str, object]:
    """report.json of the gate."""
    side = {
        "name": "lora-fp32",
        "candidate": "quantize/lora-fp32",
        "engine": "openvino",
        "quality": {"n": 1200, "value": 0.9183, "low": 0.9015, "high": 0.9325},
        "split": "test",
        "cost_per_1000": 0.0102,
        "p95_ms": 7300.0,
        "size_mb": 540.4,
        "model_hash": "a1" * 32,
    }
    chosen = {**side, "name": "small-int8", "cost_per_1000": 0.00118, "size_mb": 71.9}
    chosen["quality"] = {"n": 1200, "value": 0.9075, "low": 0.8898, "high": 0.9226}
    nothing = verdict == "fail"
    return {
        "workload": "sentiment",
        "budget": "quick",
        "verdict": verdict,
        "reasons": [
            "on 1,200 locked test items the candidate is -1.1 points against the teacher",
            "with 95% confidence it is at most 2.3 points worse, less than the margin <of 3.0>",
        ],
        "chosen": None if nothing else "small-int8",
        "teacher": {**side, "split": "validation"} if nothing else side,
        "candidate": None if nothing else chosen,
        "difference": None
        if nothing
        else {
            "value": -0.0108,
            "low": -0.0257,
            "high": 0.0035,
            "confidence": 0.95,
            "lower_bound": -0.0232,
            "upper_bound": 0.0013,
            "discordance": 0.0725,
        },
        "margin": 0.03,
        "cost_ratio": None if nothing else 0.1157,
        "max_cost_ratio": 0.1667,
        "cost_ratios": {} if nothing else {"lora-fp32": 8.64, "lora-int8": 2.9},
        "currency": "USD",
        "required_items": 2450 if verdict == "inconclusive" else None,
        "test": None if nothing else {"n": 1200, "sha256": "7e" * 32},
        "data_hash": "d4" * 32,
        "considered": [
            {
                "name": "tiny-int4",
                "difference": -0.059,
                "pass_probability": 0.0,
                "cost_per_1000": 0.00097,
                "cost_ratio": 0.0951,
                "decision": "not put to the test: its chance of passing is 0%",
            },
            {
                "name": "small-int8",
                "difference": -0.019,
                "pass_probability": 0.83,
                "cost_per_1000": 0.00118,
                "cost_ratio": 0.1157,
                "decision": "chosen: the cheapest that is expected to pass",
            },
        ],
    }


PREPARED = {
    "records": {"train": 6812, "validation": 600, "test": 1200},
    "labels": {"train": {"negative": 3411, "positive": 3401}},
    "duplicates": {"exact": 31, "near": 57},
    "quarantined": {"empty_text": 4},
    "length_words": {"mean": 18.73, "p95": 38},
}

_STEPS = range(10, 130, 10)
CURVE = [
    {
        "step": step,
        "train_loss": 0.2 + 2.1 / step,
        **({"validation_loss": 0.27 + 1.9 / step} if step % 20 == 0 else {}),
    }
    for step in _STEPS
]
REPORTS: dict[str, dict[str, object]] = {
    "finetune": {"examples": 1950, "seconds": 244.5, "curve": CURVE},
    "prune": {"kept_layers": [0, 1, 2, 3, 29], "parameters": 71_000_000},
    "distill": {"examples": 2060, "seconds": 251.0, "curve": CURVE},
    "quantize": {
        "bits": 8,
        "size_mb": 71.9,
        "parity": {"answers_agree": 0.9917, "max_logit_difference": 0.213},
    },
}
LINEAGE = [
    ("fetch", "base", None),
    ("finetune", "lora", "fetch/base"),
    ("prune", "depth12", "finetune/lora"),
    ("distill", "small", "prune/depth12"),
    ("quantize", "lora-fp32", "finetune/lora"),
    ("quantize", "small-int8", "distill/small"),
]
PARAMS: dict[str, object] = {
    "workload": "sentiment",
    "budget": "quick",
    "task": {"prompt": {"system": "Is <this> review positive & good?", "user": "{text}"}},
    "evaluate": {"candidates": {name: {} for name in NAMES if name != "tfidf"}},
    "baseline": {"tfidf": {}},
}


def lineage(stage: str, variant: str, parent: str | None) -> dict[str, object]:
    """candidate.json of one candidate."""
    return {
        "name": f"{stage}/{variant}",
        "parent": parent,
        "stage": stage,
        "variant": variant,
        "params_sha256": "e5" * 32,
        "data_sha256": None if stage == "fetch" else "d4" * 32,
        "commit": "c0ffee" * 6 + "c0ff",
    }


def _write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
