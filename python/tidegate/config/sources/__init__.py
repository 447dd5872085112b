"""The forms a document can be written in: text in; data, lines and problems out.

yaml_source   YAML, by libyaml's parser, with the meaning of plain words from YAML 1.2
json_source   JSON, with lines
toml_source   TOML, lines as near as its tables tell
tree          what they all give
"""
