"""What a recipe needs from AWS: the policies that grant it, and questions whether it is there."""
