"""The original's training program; its options are in bert_thor/seed_options.py."""

from bert_thor.seed_training import main_pretrain

if __name__ == "__main__":
    main_pretrain()
