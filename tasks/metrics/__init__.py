"""How answers are judged: one file a family of metrics, chosen by the task."""
