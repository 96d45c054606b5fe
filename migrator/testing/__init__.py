"""What tests of connectors and projects need: synthetic CRM exports and the conformance kit."""
