"""What the commands do. `main` names them and their options; each file here is imported when its command is given."""
