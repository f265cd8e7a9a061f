"""Kinds: how objects of some types are stored and loaded; found through plug-ins."""
