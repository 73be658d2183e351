"""The original's evaluation program: `DATA_FILE=... FINETUNE_CKPT=... python pretrain_eval.py`, or both as options."""

from bert_thor.original.programs import main_eval

if __name__ == "__main__":
    main_eval()
