"""Several processes that train one model: who they are (`world`, `rank_table`, `free_port`), what they exchange (`collectives`, `buckets`,
`precision`), whether they agree (`agreement`), and that none waits for one that failed (`watch`).
"""
