"""Write the token ids and labels that ms-swift makes of dialogues; runs in ms-swift's environment.

    PYTHON benchmarks/swift_encoding.py --model FOLDER --template NAME --data MESSAGES.jsonl

prints one JSON line per dialogue: ``{"input_ids": [...], "labels": [...]}``, where a label of −100
carries no loss. ``NAME`` may be one of ms-swift's own templates or one of ``swift_templates.py``.
``--prompts`` encodes each dialogue as ``swift infer`` does: without its last answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--model-type", required=True)
    parser.add_argument("--template", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--prompts", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    import swift_templates  # noqa: F401  (registers)
    from swift.model import get_model_processor
    from swift.template import get_template

    _, processor = get_model_processor(
        arguments.model, model_type=arguments.model_type, load_model=False
    )
    template = get_template(processor, template_type=arguments.template)
    template.set_mode("transformers" if arguments.prompts else "train")
    with arguments.data.open(encoding="utf-8") as lines, arguments.output.open("w") as output:
        for line in lines:
            messages = json.loads(line)["messages"]
            if arguments.prompts and messages[-1]["role"] == "assistant":
                messages = messages[:-1]
            encoded = template.encode({"messages": messages})
            json.dump({key: encoded.get(key) for key in ("input_ids", "labels")}, output)
            output.write("\n")


if __name__ == "__main__":
    main()
