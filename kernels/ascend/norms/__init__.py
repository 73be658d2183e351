"""What the norms share on Ascend 910: rows in batches, their sums, layer norm itself in fp16 and fp32."""
