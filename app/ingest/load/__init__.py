"""From mapped rows to the register: staging by COPY, then one merge. Everything is done set by set, in SQL."""
