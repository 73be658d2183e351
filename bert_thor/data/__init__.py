"""From text to the rows that BERT is trained on.

Reading order: `prepare` (the pipeline that writes a data folder and its steps), `text` (corpus, vocabulary, instances), `records`
(TFRecord files, schema, manifest), `batches` (what training reads). Nothing here needs MindSpore or the rest of the package.
"""
