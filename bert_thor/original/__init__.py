"""The programs of MindSpore's bert_thor (the original) with their options and files, over this package."""
