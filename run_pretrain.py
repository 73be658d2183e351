"""The original's training program; its options are in bert_thor/original/options.py."""

from bert_thor.original.programs import main_pretrain

if __name__ == "__main__":
    main_pretrain()
