"""The system in an AWS account: what is deployed, and how."""
