"""What goes out as a document: settlement notes, payout files and the journal. Pure mappings; libraries do the writing."""
