"""Turn Amazon Bedrock model invocation logs into datasets for Reinforcement Fine-Tuning."""
