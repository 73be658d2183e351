"""From text to the rows that BERT is trained on: corpus, vocabulary, instances, TFRecord files, batches.

Reading order: `prepare` (the pipeline that writes a data folder), `corpus`, `vocabulary`, `instances`, `tfrecord` and
`example` (the file format), `schema` and `manifest` (what a folder holds), `dataset` (what training reads). Nothing
here needs MindSpore.
"""
