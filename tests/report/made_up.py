"""A finished run, made up: every report that the release report reads."""

import json
from pathlib import Path

import yaml

NAMES = ("lora-fp32", "lora-int8", "base-int8", "half-int8", "small-int8", "tiny-int4", "tfidf")


def write_run(root: Path, verdict: str = "pass", *, everything: bool = False) -> None:
    """Write reports, lineage, answers and params.yaml of a run below `root`.

    Args:
        everything: with the sections that not every run has.
    """
    for name in NAMES:
        report = evaluated_more(name) if everything else evaluation(name)
        _write(root / f"data/evaluate/{name}/report.json", report)
        _write_lines(root / f"data/evaluate/{name}/predictions.jsonl", answers(name))
    _write(root / "data/gate/report.json", gate(verdict) | (GATE_MORE if everything else {}))
    _write(root / "data/prepared/report.json", PREPARED)
    _write(root / "data/raw/report.json", RAW)
    _write(root / "models/fetch/report.json", FETCHED)
    _write_lines(root / "data/prepared/validation.jsonl", requests())
    _write_lines(root / "data/locked/test.jsonl", [record("locked", LOCKED_WORDS)])
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


def _split(records: int, positive: int) -> dict[str, object]:
    lengths = {"mean": 18.73, "p50": 17.0, "p95": 38.0, "p99": 44.0, "max": 61.0}
    negative = records - positive
    return {
        "records": records,
        "groups": records,
        "labels": {"negative": negative, "positive": positive},
        "label_shares": {"negative": negative / records, "positive": positive / records},
        "characters": lengths,
        "prompt_tokens": lengths,
        "sha256": f"{records:04d}" * 16,
    }


PREPARED = {
    "rows": {
        "read": 9000,
        "kept": 8612,
        "outside_bins": 200,
        "over_limit": {"validation": 96},
        "quarantined": 4,
        "quarantine_reasons": {"empty_text": 4},
        "duplicates_removed": {"exact": 31, "near_within_split": 57, "near_across_splits": 0},
        "personal_data": {"addresses_masked": 3},
    },
    "splits": {
        "train": _split(6812, 3401),
        "validation": _split(600, 288),
        "test": _split(1200, 612),
    },
}
FETCHED = {
    "weights": {
        "base": {
            "source": "pypi:tiny==1.0!tiny.gguf",
            "license": "Apache-2.0",
            "sha256": "ab" * 32,
            "source_bytes": 98_400_000,
            "parameters": 134_515_008,
        }
    }
}
RAW = {
    "source": "pypi:reviews==2.0!reviews.csv",
    "license": "MIT",
    "sha256": "cd" * 32,
    "source_bytes": 1_383_098,
    "rows": 9000,
}

WORSE, BETTER, WRONG, ITEMS = 12, 6, 5, 60
"""Of the validation items: how many only the teacher, only the candidate and neither got right."""

LONG_REQUEST = "A film <b>of</b> ideas & wry comic mayhem. " * 12 + "The end of a long request."
LOCKED_WORDS = "nobody may read this locked request"


def requests() -> list[dict[str, object]]:
    """validation.jsonl: the first one is long."""
    texts = [LONG_REQUEST, *(f"Request number {number}." for number in range(1, ITEMS))]
    return [record(f"id{number:03d}", text) for number, text in enumerate(texts)]


def record(name: str, text: str) -> dict[str, object]:
    """One line of a prepared split."""
    return {
        "id": name,
        "group": name,
        "fields": {"text": text},
        "messages": [
            {"role": "system", "content": "Is <this> review positive & good?"},
            {"role": "user", "content": text},
        ],
        "prompt": text,
        "reference": "positive",
        "metadata": {},
    }


def answers(name: str) -> list[dict[str, object]]:
    """predictions.jsonl: the candidate and the teacher disagree on the first items."""
    wrong = range(WORSE + BETTER, WORSE + BETTER + WRONG)
    missed = set(range(WORSE, WORSE + BETTER)) if name == "lora-fp32" else set(range(WORSE))
    missed |= set(wrong)
    return [
        {
            "id": f"id{number:03d}",
            "reference": "positive",
            "answer": "negative" if number in missed else "positive",
            "score": 0.0 if number in missed else 1.0,
            "metadata": {},
        }
        for number in range(ITEMS)
    ]


def evaluated_more(name: str) -> dict[str, object]:
    """What not every run measures of a model: slices, other metrics, load and price of tokens."""
    report = evaluation(name)
    performance, cost = report["performance"], report["cost"]
    assert isinstance(performance, dict)
    assert isinstance(cost, dict)
    p95 = FIGURES[name][3]
    performance["load_curve"] = [
        {
            "concurrency": load,
            "requests": 64,
            "requests_per_second": {"value": FIGURES[name][2] * (0.5 + load / 64)},
            "latency_ms": {"p50": 0.04 * p95 * load, "p95": 0.06 * p95 * load},
        }
        for load in (1, 4, 32)
    ]
    cost["per_million_tokens"] = {"value": 0.0371}
    cost["energy_wh_per_1000_requests"] = {"value": 0.42}
    if name == "small-int8":
        level = {"p95_ms_asked": 900, "p95_ms_measured": 847, "met": True, "concurrency": 16}
        cost["service_level"] = level
    slices = [
        {
            "field": "length",
            "value": value,
            "n": n,
            "quality": {"n": n, "value": q, "low": q - 0.05, "high": q + 0.03},
        }
        for value, n, q in (("short", 210, 0.94), ("long", 90, 0.81))
    ]
    return {**report, "slices": slices, "metrics": {"macro_f1": {"value": 0.8765}}}


GATE_MORE: dict[str, object] = {
    "slices": [
        {
            "field": "length",
            "value": "long <words>",
            "n": 240,
            "teacher": 0.871,
            "candidate": 0.832,
            "difference": -0.039,
            "low": -0.081,
            "high": 0.004,
            "worse": False,
        },
        {
            "field": "length",
            "value": "short",
            "n": 3,
            "teacher": 1.0,
            "candidate": 1.0,
            "difference": 0.0,
            "low": -0.7,
            "high": 0.7,
            "worse": False,
        },
    ],
    "guards": [
        {
            "metric": "macro_f1",
            "margin": 0.05,
            "teacher": 0.8912,
            "candidate": 0.8847,
            "difference": -0.0065,
            "lower_bound": -0.0213,
            "upper_bound": 0.0084,
            "verdict": "pass",
        }
    ],
    "agreement": {"value": 0.9312, "low": 0.915, "high": 0.944},
    "superior": True,
    "judge": {
        "model": "large",
        "n": 100,
        "candidate_wins": 20,
        "teacher_wins": 25,
        "ties": 55,
        "swayed_by_order": 7,
        "preference": {"value": 0.475, "low": 0.41, "high": 0.54},
        "agreement_with_references": {"value": 0.9, "low": 0.8, "high": 0.95},
    },
    "ledger": {
        "currency": "USD",
        "teacher_per_1000": 0.0102,
        "candidate_per_1000": 0.0012,
        "router_per_1000": 0.0,
        "judge_per_1000": 0.0,
        "escalation_share": 0.0,
        "fallback_per_1000": 0.0,
        "net_per_1000": 0.0012,
        "saving_per_1000": 0.009,
        "ratio": {"value": 0.118, "low": 0.11, "high": 0.127},
        "machine_seconds": {"finetune/lora": 244.5, "distill/small": 251.0},
        "machine_price": 0.011,
        "labels_price": 0.0124,
        "one_time": 0.0234,
        "break_even_requests": 2600,
        "requests_per_month": None,
        "months_to_break_even": None,
        "notes": ["no router, judge or fallback is configured, so they cost nothing"],
    },
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
    "task": {
        "kind": "classification",
        "labels": ["negative", "positive"],
        "input_fields": ["text"],
        "prompt": {"system": "Is <this> review positive & good?", "user": "{text}"},
    },
    "label": {"lora": {"teacher": "finetune/lora"}},
    "distill": {"small": {"labels": "lora"}},
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


def _write_lines(file: Path, rows: list[dict[str, object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
