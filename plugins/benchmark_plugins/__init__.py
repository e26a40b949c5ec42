"""The built-in methods of robex. They register through the entry-point group like everybody's."""
